unsafe fn user<'a>(
    name: &'a str,
    __recached_argument_1: (u8, u8),
    __recached_argument_2: Cow<'_, str>,
) -> User {
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
    ::recached::__private::KeyPart::recached_add(name, __recached_arguments, "name");
    ::recached::__private::KeyPart::recached_add(
        &__recached_argument_1,
        __recached_arguments,
        "(a, mut b)",
    );
    ::recached::__private::KeyPart::recached_add(
        &__recached_argument_2,
        __recached_arguments,
        "c",
    );
    if let ::core::option::Option::Some(__recached_hit) = ::recached::__private::Call::near(
        &__recached_call,
    ) {
        return __recached_hit;
    }
    ::recached::__private::run_blocking(
        __recached_call,
        ::recached::Policy::new(TTL),
        ::recached::__private::share!(User),
        ::recached::__private::always,
        move || -> User {
            let (a, mut b) = __recached_argument_1;
            let __recached_returned: User = { marker() };
            __recached_returned
        },
    )
}
///The cache entry of a call of `user`.
unsafe fn user_entry<'a>(
    name: &'a str,
    __recached_argument_1: (u8, u8),
    __recached_argument_2: Cow<'_, str>,
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
    ::recached::__private::KeyPart::recached_add(name, __recached_arguments, "name");
    ::recached::__private::KeyPart::recached_add(
        &__recached_argument_1,
        __recached_arguments,
        "(a, mut b)",
    );
    ::recached::__private::KeyPart::recached_add(
        &__recached_argument_2,
        __recached_arguments,
        "c",
    );
    if false {
        return unsafe {
            user_entry(
                ::recached::__private::nothing(),
                ::recached::__private::nothing(),
                ::recached::__private::nothing(),
            )
        };
    }
    ::recached::__private::blocking_entry(
        __recached_call,
        ::recached::Policy::new(TTL),
        move || unsafe { user(name, __recached_argument_1, __recached_argument_2) },
    )
}
