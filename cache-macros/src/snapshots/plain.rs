fn user(id: u64) -> User {
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
    if let ::core::option::Option::Some(__recached_hit) = ::recached::__private::Call::near(
        &__recached_call,
    ) {
        return __recached_hit;
    }
    ::recached::__private::run_blocking(
        __recached_call,
        ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32)),
        ::recached::__private::share!(User),
        ::recached::__private::always,
        move || -> User { marker() },
    )
}
///The cache entry of a call of `user`.
fn user_entry(
    id: u64,
) -> ::recached::blocking::Entry<
    User,
    { ::recached::__private::kind!(User) },
    impl ::core::ops::FnOnce() -> User,
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
    if false {
        return user_entry(::recached::__private::nothing());
    }
    ::recached::__private::blocking_entry(
        __recached_call,
        ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32)),
        move || user(id),
    )
}
