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
        file: file!(),
        line: line!(),
        column: column!(),
    });
    let mut call = ::recached::__private::Call::<
        User,
        { ::recached::__private::kind!(User) },
    >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
    let arguments = call.arguments();
    arguments.add("name", &name);
    #[allow(clippy::used_underscore_binding)]
    arguments.add("__recached_argument_1", &__recached_argument_1);
    #[allow(clippy::used_underscore_binding)]
    arguments.add("__recached_argument_2", &__recached_argument_2);
    if let ::core::option::Option::Some(hit) = call.near() {
        return hit;
    }
    ::recached::__private::run_blocking(
        call,
        ::recached::Policy::new(TTL),
        ::recached::__private::share!(User),
        ::recached::__private::always,
        move || -> User {
            let (a, mut b) = __recached_argument_1;
            let ref c = __recached_argument_2;
            { marker() }
        },
    )
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
        file: file!(),
        line: line!(),
        column: column!(),
    });
    let mut call = ::recached::__private::Call::<
        User,
        { ::recached::__private::kind!(User) },
    >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
    let arguments = call.arguments();
    arguments.add("name", &name);
    #[allow(clippy::used_underscore_binding)]
    arguments.add("__recached_argument_1", &__recached_argument_1);
    #[allow(clippy::used_underscore_binding)]
    arguments.add("__recached_argument_2", &__recached_argument_2);
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
        call,
        ::recached::Policy::new(TTL),
        move || unsafe { user(name, __recached_argument_1, __recached_argument_2) },
    )
}
