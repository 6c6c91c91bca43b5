async fn user(id: u64, token: &str) -> User {
    {
        let _ = ::core::marker::PhantomData::<
            <User as ::recached::__private::Returns<
                { ::recached::__private::kind!(User) },
            >>::Value,
        >;
        fn __recached_here() {}
        static __RECACHED_FUNCTION: ::recached::__private::Function = ::recached::__private::Function::new(::recached::__private::Site {
            function: "user",
            name: ::core::option::Option::None,
            version: "",
            path: || ::recached::__private::path_of(&__recached_here),
            file: file!(),
            line: line!(),
            column: column!(),
        });
        let mut call = ::recached::__private::Call::<
            User,
            { ::recached::__private::kind!(User) },
        >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
        let arguments = call.arguments();
        arguments.add("id", &id);
        let arguments = call.secret("token", &token);
        if let ::core::option::Option::Some(hit) = call.near_tagged() {
            return hit;
        }
        let tag = call.tag();
        tag.text("user:");
        tag.field("id", &id);
        let tag = call.tag();
        tag.text("all");
        ::recached::__private::run(
            call,
            ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32))
                .codec::<::recached::codec::MsgPack>()
                .compress::<::recached::codec::Lz4>(),
            ::recached::__private::share!(User),
            ::recached::__private::always,
            async move {
                if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<
                    User,
                > {
                    return returned;
                }
                marker().await
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
fn user_entry(
    id: u64,
    token: &str,
) -> ::recached::Entry<
    User,
    { ::recached::__private::kind!(User) },
    impl ::core::future::Future<Output = User>,
> {
    fn __recached_here() {}
    static __RECACHED_FUNCTION: ::recached::__private::Function = ::recached::__private::Function::new(::recached::__private::Site {
        function: "user",
        name: ::core::option::Option::None,
        version: "",
        path: || ::recached::__private::path_of(&__recached_here),
        file: file!(),
        line: line!(),
        column: column!(),
    });
    let mut call = ::recached::__private::Call::<
        User,
        { ::recached::__private::kind!(User) },
    >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
    let arguments = call.arguments();
    arguments.add("id", &id);
    let arguments = call.secret("token", &token);
    let tag = call.tag();
    tag.text("user:");
    tag.field("id", &id);
    let tag = call.tag();
    tag.text("all");
    if false {
        return user_entry(
            ::recached::__private::nothing(),
            ::recached::__private::nothing(),
        );
    }
    ::recached::__private::entry(
        call,
        ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32))
            .codec::<::recached::codec::MsgPack>()
            .compress::<::recached::codec::Lz4>(),
        user(id, token),
    )
}
