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
            file: ::core::file!(),
            line: ::core::line!(),
            column: ::core::column!(),
        });
        let mut __recached_call = ::recached::__private::Call::<
            User,
            { ::recached::__private::kind!(User) },
        >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
        let __recached_arguments = ::recached::__private::Call::arguments(
            &mut __recached_call,
        );
        ::recached::__private::KeyPart::recached_add(&id, __recached_arguments, "id");
        let __recached_arguments = ::recached::__private::Call::secret(
            &mut __recached_call,
            "token",
            token,
        );
        if let ::core::option::Option::Some(__recached_hit) = ::recached::__private::Call::near_tagged(
            &__recached_call,
        ) {
            return __recached_hit;
        }
        let __recached_tag = ::recached::__private::Call::tag(&mut __recached_call);
        ::recached::__private::Arguments::text(__recached_tag, "user:");
        ::recached::__private::KeyPart::recached_field(&id, __recached_tag, "id");
        let __recached_tag = ::recached::__private::Call::tag(&mut __recached_call);
        ::recached::__private::Arguments::text(__recached_tag, "all");
        ::recached::__private::run(
            __recached_call,
            ::recached::Policy::compress::<
                ::recached::codec::Lz4,
            >(
                ::recached::Policy::codec::<
                    ::recached::codec::MsgPack,
                >(::recached::Policy::new(::core::time::Duration::new(60u64, 0u32))),
            ),
            ::recached::__private::share!(User),
            ::recached::__private::always,
            async move {
                if let ::core::option::Option::Some(__recached_returned) = ::core::option::Option::None::<
                    User,
                > {
                    return __recached_returned;
                }
                marker().await
            },
        )
    }
        .await
}
///The cache entry of a call of `user`.
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
        file: ::core::file!(),
        line: ::core::line!(),
        column: ::core::column!(),
    });
    let mut __recached_call = ::recached::__private::Call::<
        User,
        { ::recached::__private::kind!(User) },
    >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
    let __recached_arguments = ::recached::__private::Call::arguments(
        &mut __recached_call,
    );
    ::recached::__private::KeyPart::recached_add(&id, __recached_arguments, "id");
    let __recached_arguments = ::recached::__private::Call::secret(
        &mut __recached_call,
        "token",
        token,
    );
    let __recached_tag = ::recached::__private::Call::tag(&mut __recached_call);
    ::recached::__private::Arguments::text(__recached_tag, "user:");
    ::recached::__private::KeyPart::recached_field(&id, __recached_tag, "id");
    let __recached_tag = ::recached::__private::Call::tag(&mut __recached_call);
    ::recached::__private::Arguments::text(__recached_tag, "all");
    if false {
        return user_entry(
            ::recached::__private::nothing(),
            ::recached::__private::nothing(),
        );
    }
    ::recached::__private::entry(
        __recached_call,
        ::recached::Policy::compress::<
            ::recached::codec::Lz4,
        >(
            ::recached::Policy::codec::<
                ::recached::codec::MsgPack,
            >(::recached::Policy::new(::core::time::Duration::new(60u64, 0u32))),
        ),
        user(id, token),
    )
}
