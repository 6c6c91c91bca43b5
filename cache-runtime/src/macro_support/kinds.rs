//! Macros that determine the kind of a return type, expanded in the annotated function's crate.

/// Rejects a return type that was taken for something other than a `Result` and is one.
#[doc(hidden)]
#[macro_export]
macro_rules! no_result {
    ($returns:ty) => {{
        use $crate::macro_support::AnyHead as _;
        $crate::macro_support::Probe::<$returns>::recached_is_no_result()
    }};
}
pub use no_result;
/// Returns the kind of a return type, as a constant expression.
#[doc(hidden)]
#[macro_export]
macro_rules! kind {
    ($returns:ty) => {{
        use $crate::macro_support::AnyHead as _;
        const __RECACHED_FIRST: ::core::primitive::u8 =
            $crate::macro_support::Probe::<$returns>::RECACHED_HEAD;
        type __RecachedSecond = <$returns as $crate::macro_support::Peel<__RECACHED_FIRST>>::Inner;
        const __RECACHED_SECOND: ::core::primitive::u8 =
            $crate::macro_support::Probe::<__RecachedSecond>::RECACHED_HEAD;
        type __RecachedThird =
            <__RecachedSecond as $crate::macro_support::Peel<__RECACHED_SECOND>>::Inner;
        $crate::macro_support::kind_of(
            __RECACHED_FIRST,
            __RECACHED_SECOND,
            $crate::macro_support::Probe::<__RecachedThird>::RECACHED_HEAD,
        )
    }};
}
pub use kind;

/// Returns the way in which errors of a return type are shared.
#[doc(hidden)]
#[macro_export]
macro_rules! share {
    ($returns:ty) => {{
        use $crate::macro_support::AnyShare as _;
        $crate::macro_support::Probe::<$returns>::RECACHED_SHARE
    }};
}
pub use share;
