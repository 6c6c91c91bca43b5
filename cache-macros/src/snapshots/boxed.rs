fn user<'life0, 'async_trait>(
    &'life0 self,
    id: u64,
) -> ::core::pin::Pin<
    Box<dyn ::core::future::Future<Output = User> + ::core::marker::Send + 'async_trait>,
>
where
    'life0: 'async_trait,
    Self: 'async_trait,
{
    ::std::boxed::Box::pin(async move {
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
            if let ::core::option::Option::Some(hit) = call.near() {
                return hit;
            }
            ::recached::__private::run(
                call,
                ::recached::Policy::new(::core::time::Duration::new(60u64, 0u32)),
                ::recached::__private::share!(User),
                ::recached::__private::always,
                async move {
                    let __self = self;
                    marker()
                },
            )
        }
            .await
    })
}
