async fn user(id: u64) -> Result<Option<User>, Error> {
    {
        const _: () = crate::deep::recached::__private::none_ttl({
            crate::deep::recached::__private::kind!(Result < Option < User >, Error >)
        });
        let _ = ::core::marker::PhantomData::<
            <Result<
                Option<User>,
                Error,
            > as crate::deep::recached::__private::Returns<
                {
                    crate::deep::recached::__private::kind!(
                        Result < Option < User >, Error >
                    )
                },
            >>::Value,
        >;
        fn __recached_here() {}
        static __RECACHED_FUNCTION: crate::deep::recached::__private::Function = crate::deep::recached::__private::Function::new(crate::deep::recached::__private::Site {
            function: "user",
            name: ::core::option::Option::Some("app.user"),
            version: "2",
            path: || crate::deep::recached::__private::path_of(&__recached_here),
            file: file!(),
            line: line!(),
            column: column!(),
        });
        let mut call = crate::deep::recached::__private::Call::<
            Result<Option<User>, Error>,
            {
                crate::deep::recached::__private::kind!(
                    Result < Option < User >, Error >
                )
            },
        >::new(&__RECACHED_FUNCTION, crate::deep::recached::__private::path_of(&|| ()));
        call.cache(&CACHE);
        let arguments = call.arguments();
        arguments.text("user:");
        arguments.field("id", &id);
        call.when(id > 1);
        if let ::core::option::Option::Some(hit) = call.near() {
            return hit;
        }
        crate::deep::recached::__private::run_owned(
            call,
            crate::deep::recached::Policy::new(::core::time::Duration::new(60u64, 0u32))
                .jitter(0.1)
                .none_ttl(::core::time::Duration::new(5u64, 0u32))
                .lease(::core::time::Duration::new(5u64, 0u32))
                .wait(::core::time::Duration::new(10u64, 0u32))
                .near_ttl(::core::time::Duration::new(1u64, 0u32))
                .stale_while_revalidate(::core::time::Duration::new(60u64, 0u32))
                .stale_if_error(::core::time::Duration::new(60u64, 0u32))
                .refresh_ahead(1.0)
                .timeout(::core::time::Duration::new(1u64, 0u32)),
            crate::deep::recached::__private::share!(Result < Option < User >, Error >),
            crate::deep::recached::__private::only_if_for::<
                <Result<
                    Option<User>,
                    Error,
                > as crate::deep::recached::__private::Returns<
                    {
                        crate::deep::recached::__private::kind!(
                            Result < Option < User >, Error >
                        )
                    },
                >>::Value,
            >(|user| user.is_some(), |user| user.life()),
            async move {
                if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<
                    Result<Option<User>, Error>,
                > {
                    return returned;
                }
                marker()
            },
        )
    }
        .await
}
///The cache entry of a call of `user`.
#[allow(
    dead_code,
    deprecated,
    clippy::needless_pass_by_value,
    clippy::too_many_arguments,
    clippy::type_complexity,
    clippy::used_underscore_binding
)]
fn handle(
    id: u64,
) -> crate::deep::recached::Entry<
    Result<Option<User>, Error>,
    { crate::deep::recached::__private::kind!(Result < Option < User >, Error >) },
    impl ::core::future::Future<Output = Result<Option<User>, Error>>,
> {
    fn __recached_here() {}
    static __RECACHED_FUNCTION: crate::deep::recached::__private::Function = crate::deep::recached::__private::Function::new(crate::deep::recached::__private::Site {
        function: "user",
        name: ::core::option::Option::Some("app.user"),
        version: "2",
        path: || crate::deep::recached::__private::path_of(&__recached_here),
        file: file!(),
        line: line!(),
        column: column!(),
    });
    let mut call = crate::deep::recached::__private::Call::<
        Result<Option<User>, Error>,
        { crate::deep::recached::__private::kind!(Result < Option < User >, Error >) },
    >::new(&__RECACHED_FUNCTION, crate::deep::recached::__private::path_of(&|| ()));
    call.cache(&CACHE);
    let arguments = call.arguments();
    arguments.text("user:");
    arguments.field("id", &id);
    if false {
        return handle(crate::deep::recached::__private::nothing());
    }
    crate::deep::recached::__private::entry(
        call,
        crate::deep::recached::Policy::new(::core::time::Duration::new(60u64, 0u32))
            .jitter(0.1)
            .none_ttl(::core::time::Duration::new(5u64, 0u32))
            .lease(::core::time::Duration::new(5u64, 0u32))
            .wait(::core::time::Duration::new(10u64, 0u32))
            .near_ttl(::core::time::Duration::new(1u64, 0u32))
            .stale_while_revalidate(::core::time::Duration::new(60u64, 0u32))
            .stale_if_error(::core::time::Duration::new(60u64, 0u32))
            .refresh_ahead(1.0)
            .timeout(::core::time::Duration::new(1u64, 0u32)),
        user(id),
    )
}
