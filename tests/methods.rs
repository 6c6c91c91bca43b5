//! Methods that the attribute accepts: inherent ones, those of traits, and those that `async_trait`
//! rewrites before the attribute expands.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use recached::cached;
use recached_tests::{assert_cached, assert_cached_async, ran, runs};
use serde::Serialize;

#[derive(Clone, Debug, Default, Serialize)]
struct Shop {
    tenant: String,
    floor: u8,
}

impl Shop {
    const FLOORS: u8 = 9;

    fn of(tenant: &str) -> Self {
        let tenant = tenant.to_owned();
        Self { tenant, floor: 0 }
    }

    #[cached(ttl = 60, skip(self))]
    fn by_reference(&self, id: u64) -> u64 {
        ran("by_reference");
        id
    }

    #[cached(ttl = 60, with(self.tenant))]
    async fn awaited(&self, id: u64) -> Result<String, std::fmt::Error> {
        ran("awaited");
        Ok(format!("{}:{id}", self.tenant))
    }

    #[cached(ttl = 60, key = "{self.tenant}:{self.floor}:{id}")]
    fn exclusive(&mut self, id: u64) -> u64 {
        ran("exclusive");
        self.floor += 1;
        id
    }

    #[cached(ttl = 60, with(self))]
    fn consumed(mut self, id: u64) -> String {
        ran("consumed");
        self.tenant.push_str(&id.to_string());
        self.tenant
    }

    #[cached(ttl = 60, with(self.tenant))]
    async fn shared(self: Arc<Self>, id: u64) -> u64 {
        ran("shared");
        id + u64::from(self.floor)
    }

    #[cached(ttl = 60, with(self.tenant))]
    fn boxed(self: Box<Self>, id: u64) -> u64 {
        ran("boxed");
        id + u64::from(self.floor)
    }

    #[cached(ttl = 60, with(self.tenant))]
    fn pinned(self: Pin<&Self>, id: u64) -> u64 {
        ran("pinned");
        id + u64::from(self.floor)
    }

    #[cached(ttl = 60, with(self.tenant))]
    fn counted(self: &Rc<Self>, id: u64) -> u64 {
        ran("counted");
        id + u64::from(self.floor)
    }

    #[cached(ttl = 60)]
    fn associated(id: u8) -> u8 {
        ran("associated");
        id + Self::FLOORS
    }

    #[cached(ttl = 60, entry = Self::said_entry)]
    async fn said(id: u8) -> u8 {
        ran("said");
        id
    }

    #[cached(ttl = 60, with(self.tenant), stale_while_revalidate = 60)]
    async fn owned(self: Arc<Self>, id: u64) -> u64 {
        ran("owned");
        id + u64::from(self.floor)
    }
}

#[tokio::test]
async fn every_receiver_is_taken() {
    let (mut a, mut b) = (Shop::of("a"), Shop::of("b"));
    assert_cached!(
        "by_reference",
        a.by_reference(1),
        a.by_reference(2),
        b.by_reference_entry(1)
    );
    assert_cached_async!("awaited", a.awaited(1), b.awaited(1), a.awaited_entry(1));
    let at = |floor| Shop {
        floor,
        ..Shop::of("a")
    };
    assert_cached!(
        "exclusive",
        at(0).exclusive(1),
        at(1).exclusive(1),
        at(0).exclusive_entry(1)
    );
    let before = runs("exclusive");
    assert_eq!((a.exclusive(7), b.exclusive(7), b.exclusive(7)), (7, 7, 7));
    assert_eq!(
        runs("exclusive") - before,
        3,
        "it looks at `self` as it is now"
    );
    assert_cached!(
        "consumed",
        a.clone().consumed(1),
        b.clone().consumed(1),
        a.clone().consumed_entry(1)
    );
    let [a, b] = [a, b].map(Arc::new);
    assert_cached_async!(
        "shared",
        a.clone().shared(1),
        b.clone().shared(1),
        a.clone().shared_entry(1)
    );
    assert_cached_async!(
        "owned",
        a.clone().owned(1),
        b.clone().owned(1),
        a.clone().owned_entry(1)
    );
    let boxed = || Box::new(Shop::of("a"));
    assert_cached!(
        "boxed",
        boxed().boxed(1),
        boxed().boxed(2),
        boxed().boxed_entry(1)
    );
    let pinned = Pin::new(&*a);
    assert_cached!(
        "pinned",
        pinned.pinned(1),
        pinned.pinned(2),
        pinned.pinned_entry(1)
    );
    let counted = Rc::new(Shop::of("a"));
    assert_cached!(
        "counted",
        counted.counted(1),
        counted.counted(2),
        counted.counted_entry(1)
    );
    assert_cached!(
        "associated",
        Shop::associated(1),
        Shop::associated(2),
        Shop::associated_entry(1)
    );
    assert_cached_async!("said", Shop::said(1), Shop::said(2), Shop::said_entry(1));
}

/// A trait's methods cannot have entry handles: `entry = false`.
trait Prices {
    fn price(&self, id: u64) -> u64;
    async fn price_later(&self, id: u64) -> Result<u64, std::fmt::Error>;

    #[cached(ttl = 60, skip(self))]
    fn provided(&self, id: u64) -> u64
    where
        Self: Sized,
    {
        ran("provided");
        id
    }

    #[cached(ttl = 60, skip(self))]
    async fn provided_of(&self) -> String
    where
        Self: Sized,
    {
        std::any::type_name::<Self>().to_owned()
    }
}

impl Prices for Shop {
    #[cached(ttl = 60, with(self.tenant), entry = false)]
    fn price(&self, id: u64) -> u64 {
        ran("price");
        id
    }

    #[cached(ttl = 60, with(self.tenant), entry = false)]
    async fn price_later(&self, id: u64) -> Result<u64, std::fmt::Error> {
        ran("price_later");
        Ok(id)
    }
}

struct Market;

impl Prices for Market {
    #[cached(ttl = 60, skip(self), entry = false)]
    fn price(&self, id: u64) -> u64 {
        ran("price of the market");
        id * 2
    }

    #[cached(ttl = 60, skip(self), entry = false)]
    async fn price_later(&self, id: u64) -> Result<u64, std::fmt::Error> {
        ran("price_later of the market");
        Ok(id * 2)
    }
}

#[tokio::test]
async fn methods_of_a_trait_are_distinguished_by_type_and_are_invalidated_by_name() {
    let shop = Shop::of("a");
    for _ in 0..2 {
        assert_eq!((shop.price(1), Market.price(1), shop.price(2)), (1, 2, 2));
        assert_eq!(shop.price_later(1).await, Ok(1));
        assert_eq!(Market.price_later(1).await, Ok(2));
    }
    assert_eq!((runs("price"), runs("price of the market")), (2, 1));
    assert_eq!(
        (runs("price_later"), runs("price_later of the market")),
        (1, 1)
    );
    let matched = recached::invalidate("methods.Shop.price*")
        .await
        .expect("it works");
    assert_eq!(
        matched.functions,
        ["methods.Shop.price", "methods.Shop.price_later"]
    );
    assert_eq!((shop.price(1), Market.price(1)), (1, 2));
    assert_eq!((runs("price"), runs("price of the market")), (3, 1));
    assert_cached!(
        "provided",
        shop.provided(1),
        shop.provided(2),
        shop.provided_entry(1)
    );
    for _ in 0..2 {
        assert_eq!(shop.provided_of().await, "methods::Shop");
        assert_eq!(Market.provided_of().await, "methods::Market");
    }
}

#[async_trait]
trait Stock: Send + Sync {
    async fn count(&self, id: u64) -> u64;
    async fn named<'a>(&'a self, (prefix, name): (&'a str, &str)) -> Result<String, NotClone>;
    async fn any<T: Serialize + Send>(&self, mut of: T, _: u8) -> Option<usize>
    where
        Self: Sized;
    async fn make(id: u8) -> Arc<u8>
    where
        Self: Sized;
    async fn nothing(self: Arc<Self>);

    #[cached(ttl = 60, skip(self), entry = false)]
    async fn provided_later(&self, id: u64) -> u64 {
        ran("provided_later");
        id
    }
}

struct NotClone;

#[async_trait]
impl Stock for Shop {
    #[cached(ttl = 60, with(self.tenant), entry = false)]
    async fn count(&self, id: u64) -> u64 {
        ran("count");
        tokio::task::yield_now().await;
        id + u64::from(self.floor)
    }

    #[cached(ttl = 60, with(self.tenant), entry = false)]
    async fn named<'a>(&'a self, (prefix, name): (&'a str, &str)) -> Result<String, NotClone> {
        ran("named");
        if name.is_empty() {
            return Err(NotClone);
        }
        Ok(format!("{prefix}{name}"))
    }

    #[cached(ttl = 60, skip(self), entry = false)]
    async fn any<T: Serialize + Send>(&self, mut of: T, _: u8) -> Option<usize> {
        ran("any");
        let of = &mut of;
        Some(serde_json::to_string(of).ok()?.len())
    }

    #[cached(ttl = 60, entry = false)]
    async fn make(id: u8) -> Arc<u8> {
        ran("make");
        Arc::new(id + Self::FLOORS)
    }

    #[cached(ttl = 60, with(self.tenant), entry = false)]
    async fn nothing(self: Arc<Self>) {
        ran("nothing");
        assert_eq!(self.floor, 0);
    }
}

#[tokio::test]
async fn methods_of_an_async_trait_store_what_their_future_gives() {
    let shop = Shop::of("a");
    let stock: &dyn Stock = &shop;
    for _ in 0..2 {
        assert_eq!((stock.count(1).await, stock.count(2).await), (1, 2));
        assert!(shop.named(("a", "")).await.is_err());
        assert_eq!(shop.named(("a", "b")).await.ok().as_deref(), Some("ab"));
        assert_eq!(shop.named(("b", "b")).await.ok().as_deref(), Some("bb"));
        assert_eq!(shop.any(1u8, 1).await, Some(1));
        assert_eq!(shop.any(1u16, 1).await, Some(1));
        assert_eq!(shop.any(1u16, 2).await, Some(1));
        assert_eq!(*Shop::make(1).await, 10);
        Arc::new(shop.clone()).nothing().await;
        assert_eq!(shop.provided_later(1).await, 1);
    }
    assert!(Arc::ptr_eq(&Shop::make(1).await, &Shop::make(1).await));
    let ran = ["count", "named", "any", "make", "nothing", "provided_later"].map(runs);
    assert_eq!(ran, [2, 4, 3, 1, 1, 1]);
    assert_eq!(Shop::of("b").count(1).await, 1);
    assert_eq!(runs("count"), 3);
    let _ = recached::invalidate("methods.Shop.count")
        .await
        .expect("it works");
    assert_eq!(shop.count(1).await, 1);
    assert_eq!(runs("count"), 4);
}

#[async_trait(?Send)]
trait Local {
    async fn here(&self, id: u8, of: Rc<u8>) -> u8;
}

#[async_trait(?Send)]
impl Local for Shop {
    #[cached(ttl = 60, key = "{id}", entry = false)]
    async fn here(&self, id: u8, of: Rc<u8>) -> u8 {
        ran("here");
        tokio::task::yield_now().await;
        id + *of
    }
}

#[tokio::test]
async fn a_future_that_stays_on_its_thread_is_cached_too() {
    let shop = Shop::of("a");
    assert_eq!(shop.here(1, Rc::new(1)).await, 2);
    assert_eq!(shop.here(1, Rc::new(1)).await, 2);
    assert_eq!(runs("here"), 1);
}

#[cached(ttl = 60)]
fn by_hand(id: u64) -> Pin<Box<dyn Future<Output = Result<u64, NotClone>> + Send>> {
    Box::pin(async move {
        ran("by_hand");
        Ok(id)
    })
}

/// A boxed future like that of the crate `futures`.
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[cached(ttl = 60)]
fn by_alias(text: &str) -> BoxFuture<'_, Option<usize>> {
    let length = text.len();
    Box::pin(async move {
        ran("by_alias");
        Some(length)
    })
}

#[tokio::test]
async fn a_boxed_future_is_an_async_function() {
    assert_cached_async!(
        "by_alias",
        by_alias("a"),
        by_alias("bc"),
        by_alias_entry("a")
    );
    assert_cached_async!(
        "by_hand",
        async { by_hand(1).await.ok() },
        by_hand(2),
        by_hand_entry(1)
    );
}

/// A trait whose entry handles require a sized type.
trait Shelves: Send + Sync {
    #[cached(ttl = 60, skip(self))]
    fn shelves(&self, id: u64) -> u64 {
        ran("shelves");
        id
    }

    #[cached(ttl = 60, skip(self))]
    fn boxed_shelves(&self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async move {
            ran("boxed_shelves");
            id
        })
    }

    #[cached(ttl = 60)]
    fn shelves_of(id: u64) -> String
    where
        Self: Sized,
    {
        std::any::type_name::<Self>().to_owned() + &id.to_string()
    }
}

impl Shelves for Shop {}

#[tokio::test]
async fn a_trait_with_companions_is_one_for_dyn_too() {
    let shop = Shop::of("a");
    let shelves: &dyn Shelves = &shop;
    assert_cached!(
        "shelves",
        shelves.shelves(1),
        shelves.shelves(2),
        shop.shelves_entry(1)
    );
    assert_cached_async!(
        "boxed_shelves",
        shop.boxed_shelves(1),
        shop.boxed_shelves(2),
        shop.boxed_shelves_entry(1)
    );
    assert_eq!(Shop::shelves_of(1), "methods::Shop1");
    assert_eq!(
        Shop::shelves_of_entry(1)
            .invalidate()
            .expect("it works")
            .entries,
        1
    );
}
