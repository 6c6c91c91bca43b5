pub async fn rename(id: u64, name: &str) -> Result<(), Error> {
    let mut invalidations = ::recached::__private::Invalidations::new();
    invalidations.functions("user*");
    let tag = invalidations.tag();
    tag.text("user:");
    tag.field("id", &id);
    invalidations.entry(user_entry(id));
    let result = ::recached::__private::future_of::<
        Result<(), Error>,
        _,
    >(async move {
            if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<
                Result<(), Error>,
            > {
                return returned;
            }
            marker().await
        })
        .await;
    {
        #[allow(unused_imports)]
        use ::recached::__private::AnyOutcome as _;
        invalidations.judge(::recached::__private::Outcome(&result).is_success());
    }
    invalidations.run().await;
    result
}
