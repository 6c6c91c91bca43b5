/// Documented.
#[inline]
pub async fn user<T: Key>(&self, id: T, _db: &Db) -> Option<Arc<User>>
where
    T: Send,
{
    {
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
            file: file!(),
            line: line!(),
            column: column!(),
        });
        let mut call = ::recached::__private::Call::<
            Option<Arc<User>>,
            { ::recached::__private::kind!(Option < Arc < () > >) },
        >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
        let arguments = call.arguments();
        arguments.add("id", &id);
        arguments.add("self . tenant", &(self.tenant));
        if let ::core::option::Option::Some(hit) = call.near() {
            return hit;
        }
        ::recached::__private::run(
            call,
            ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32)),
            ::recached::__private::share!(Option < Arc < User > >),
            ::recached::__private::always,
            async move {
                if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<
                    Option<Arc<User>>,
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
        file: file!(),
        line: line!(),
        column: column!(),
    });
    let mut call = ::recached::__private::Call::<
        Option<Arc<User>>,
        { ::recached::__private::kind!(Option < Arc < () > >) },
    >::new(&__RECACHED_FUNCTION, ::recached::__private::path_of(&|| ()));
    let arguments = call.arguments();
    arguments.add("id", &id);
    arguments.add("self . tenant", &(self.tenant));
    ::recached::__private::entry(
        call,
        ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32)),
        self.user::<T>(id, _db),
    )
}
