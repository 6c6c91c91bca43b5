/// Documented.
#[inline]
pub async fn user<T: Key>(&self, id: T, _db: &Db) -> Option<Arc<User>>
where
    T: Send,
{
    {
        if false {
            let _ = Self::user_entry::<T>(self, id, _db);
            return ::recached::__private::nothing();
        }
        let _ = ::core::marker::PhantomData::<
            <Option<
                Arc<User>,
            > as ::recached::__private::Returns<
                { ::recached::__private::kind!(Option < Arc < () > >) },
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
            Option<Arc<User>>,
            { ::recached::__private::kind!(Option < Arc < () > >) },
        >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
        let __recached_arguments = ::recached::__private::Call::arguments(
            &mut __recached_call,
        );
        ::recached::__private::KeyPart::recached_add(&id, __recached_arguments, "id");
        ::recached::__private::KeyPart::recached_add(
            &(self.tenant),
            __recached_arguments,
            "self . tenant",
        );
        if let ::core::option::Option::Some(__recached_hit) = ::recached::__private::Call::near(
            &__recached_call,
        ) {
            return __recached_hit;
        }
        ::recached::__private::run(
            __recached_call,
            ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32)),
            ::recached::__private::share!(Option < Arc < User > >),
            ::recached::__private::always,
            async move {
                if let ::core::option::Option::Some(__recached_returned) = ::core::option::Option::None::<
                    Option<Arc<User>>,
                > {
                    return __recached_returned;
                }
                marker()
            },
        )
    }
        .await
}
///The cache entry of a call of `user`.
pub fn user_entry<T: Key>(
    &self,
    id: T,
    _db: &Db,
) -> ::recached::Entry<
    Option<Arc<User>>,
    { ::recached::__private::kind!(Option < Arc < () > >) },
    impl ::core::future::Future<Output = Option<Arc<User>>>,
>
where
    T: Send,
    Self: ::core::marker::Sized,
{
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
        Option<Arc<User>>,
        { ::recached::__private::kind!(Option < Arc < () > >) },
    >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
    let __recached_arguments = ::recached::__private::Call::arguments(
        &mut __recached_call,
    );
    ::recached::__private::KeyPart::recached_add(&id, __recached_arguments, "id");
    ::recached::__private::KeyPart::recached_add(
        &(self.tenant),
        __recached_arguments,
        "self . tenant",
    );
    ::recached::__private::entry(
        __recached_call,
        ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32)),
        Self::user::<T>(self, id, _db),
    )
}
