pub async fn rename(id: u64, name: &str) -> Result<(), Error> {
    let mut __recached_invalidations = ::recached::__private::Invalidations::new();
    ::recached::__private::Invalidations::functions(
        &mut __recached_invalidations,
        "user*",
    );
    let __recached_tag = ::recached::__private::Invalidations::tag(
        &mut __recached_invalidations,
    );
    ::recached::__private::Arguments::text(__recached_tag, "user:");
    ::recached::__private::KeyPart::recached_field(&id, __recached_tag, "id");
    ::recached::__private::Invalidations::entry(
        &mut __recached_invalidations,
        ::recached::__private::AnyEntry::recached_doomed(user_entry(id)),
    );
    let __recached_result = ::recached::__private::future_of::<
        Result<(), Error>,
        _,
    >(async move {
            if let ::core::option::Option::Some(__recached_returned) = ::core::option::Option::None::<
                Result<(), Error>,
            > {
                return __recached_returned;
            }
            marker().await
        })
        .await;
    {
        use ::recached::__private::AnyOutcome as _;
        ::recached::__private::Invalidations::judge(
            &mut __recached_invalidations,
            ::recached::__private::Outcome(&__recached_result).recached_is_success(),
        );
    }
    ::recached::__private::Invalidations::run(__recached_invalidations).await;
    __recached_result
}
