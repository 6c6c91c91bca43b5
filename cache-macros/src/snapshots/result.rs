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
            file: ::core::file!(),
            line: ::core::line!(),
            column: ::core::column!(),
        });
        let mut __recached_call = crate::deep::recached::__private::Call::<
            Result<Option<User>, Error>,
            {
                crate::deep::recached::__private::kind!(
                    Result < Option < User >, Error >
                )
            },
        >::new(&__RECACHED_FUNCTION, crate::deep::recached::__private::path_of(&|| ()));
        crate::deep::recached::__private::Call::cache(&mut __recached_call, &CACHE);
        let __recached_arguments = crate::deep::recached::__private::Call::arguments(
            &mut __recached_call,
        );
        crate::deep::recached::__private::Arguments::text(__recached_arguments, "user:");
        crate::deep::recached::__private::KeyPart::recached_field(
            &id,
            __recached_arguments,
            "id",
        );
        crate::deep::recached::__private::Call::bypass_if(&mut __recached_call, id > 1);
        crate::deep::recached::__private::Call::refresh_if(&mut __recached_call, id > 2);
        if let ::core::option::Option::Some(__recached_hit) = crate::deep::recached::__private::Call::near(
            &__recached_call,
        ) {
            return __recached_hit;
        }
        crate::deep::recached::__private::run_owned(
            __recached_call,
            crate::deep::recached::Policy::near_ttl(
                crate::deep::recached::Policy::lease_wait(
                    crate::deep::recached::Policy::lease(
                        crate::deep::recached::Policy::soft_timeout(
                            crate::deep::recached::Policy::refresh_ahead(
                                crate::deep::recached::Policy::stale_if_error(
                                    crate::deep::recached::Policy::stale_while_revalidate(
                                        crate::deep::recached::Policy::none_ttl(
                                            crate::deep::recached::Policy::jitter(
                                                crate::deep::recached::Policy::new(
                                                    ::core::time::Duration::new(60u64, 0u32),
                                                ),
                                                0.1,
                                            ),
                                            ::core::time::Duration::new(5u64, 0u32),
                                        ),
                                        ::core::time::Duration::new(60u64, 0u32),
                                    ),
                                    ::core::time::Duration::new(60u64, 0u32),
                                ),
                                1.0,
                            ),
                            ::core::time::Duration::new(1u64, 0u32),
                        ),
                        ::core::time::Duration::new(5u64, 0u32),
                    ),
                    ::core::time::Duration::new(10u64, 0u32),
                ),
                ::core::time::Duration::new(1u64, 0u32),
            ),
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
                let _ = &id;
                if let ::core::option::Option::Some(__recached_returned) = ::core::option::Option::None::<
                    Result<Option<User>, Error>,
                > {
                    return __recached_returned;
                }
                marker()
            },
            false,
        )
    }
        .await
}
///The cache entry of a call of `user`.
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
        file: ::core::file!(),
        line: ::core::line!(),
        column: ::core::column!(),
    });
    let mut __recached_call = crate::deep::recached::__private::Call::<
        Result<Option<User>, Error>,
        { crate::deep::recached::__private::kind!(Result < Option < User >, Error >) },
    >::new(&__RECACHED_FUNCTION, crate::deep::recached::__private::path_of(&|| ()));
    crate::deep::recached::__private::Call::cache(&mut __recached_call, &CACHE);
    let __recached_arguments = crate::deep::recached::__private::Call::arguments(
        &mut __recached_call,
    );
    crate::deep::recached::__private::Arguments::text(__recached_arguments, "user:");
    crate::deep::recached::__private::KeyPart::recached_field(
        &id,
        __recached_arguments,
        "id",
    );
    if false {
        return handle(crate::deep::recached::__private::nothing());
    }
    crate::deep::recached::__private::entry(
        __recached_call,
        crate::deep::recached::Policy::near_ttl(
            crate::deep::recached::Policy::lease_wait(
                crate::deep::recached::Policy::lease(
                    crate::deep::recached::Policy::soft_timeout(
                        crate::deep::recached::Policy::refresh_ahead(
                            crate::deep::recached::Policy::stale_if_error(
                                crate::deep::recached::Policy::stale_while_revalidate(
                                    crate::deep::recached::Policy::none_ttl(
                                        crate::deep::recached::Policy::jitter(
                                            crate::deep::recached::Policy::new(
                                                ::core::time::Duration::new(60u64, 0u32),
                                            ),
                                            0.1,
                                        ),
                                        ::core::time::Duration::new(5u64, 0u32),
                                    ),
                                    ::core::time::Duration::new(60u64, 0u32),
                                ),
                                ::core::time::Duration::new(60u64, 0u32),
                            ),
                            1.0,
                        ),
                        ::core::time::Duration::new(1u64, 0u32),
                    ),
                    ::core::time::Duration::new(5u64, 0u32),
                ),
                ::core::time::Duration::new(10u64, 0u32),
            ),
            ::core::time::Duration::new(1u64, 0u32),
        ),
        user(id),
    )
}
