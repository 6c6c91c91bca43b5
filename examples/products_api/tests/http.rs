//! The service as seen by its clients: over real sockets, in memory and on Redis.

use products_api::{Product, Shop, User, app};
use recached::Cache;
use recached_tests::{Server, cache_on};
use sqlx::sqlite::SqlitePoolOptions;

struct Service {
    shop: Shop,
    address: String,
    client: reqwest::Client,
}

impl Service {
    async fn start(cache: Cache) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect("sqlite::memory:")
            .await;
        let shop = Shop::open(pool.expect("sqlite opens"), cache)
            .await
            .expect("the tables are made");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let routes = app(shop.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            shop,
            address,
            client: reqwest::Client::new(),
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let response = self
            .client
            .get(format!("{}{path}", self.address))
            .send()
            .await;
        let response = response
            .expect("it answers")
            .error_for_status()
            .expect("it succeeds");
        response.json().await.expect("it is json")
    }

    async fn rename(&self, id: i64, name: &str) -> u16 {
        let request = self
            .client
            .put(format!("{}/users/{id}", self.address))
            .json(name);
        request.send().await.expect("it answers").status().as_u16()
    }
}

async fn many_requests_one_query_and_a_write_is_seen_at_once(cache: Cache) {
    let service = Service::start(cache).await;
    for _ in 0..10 {
        let products: Vec<Product> = service.get("/products").await;
        assert_eq!(products.len(), 2);
        assert_eq!(
            products[0],
            Product {
                id: 1,
                name: "tea".into(),
                cents: 450
            }
        );
    }
    assert_eq!(service.shop.queries(), 1, "ten requests, one query");

    let greeting = |id: i64, language: &str| {
        let path = format!("/users/{id}/greeting/{language}");
        let service = &service;
        async move { service.get::<Option<String>>(&path).await }
    };
    for _ in 0..5 {
        assert_eq!(greeting(1, "en").await.as_deref(), Some("Hello, ada!"));
        assert_eq!(greeting(1, "de").await.as_deref(), Some("Hallo, ada!"));
        assert_eq!(greeting(2, "en").await.as_deref(), Some("Hello, grace!"));
    }
    assert_eq!(service.shop.queries(), 3, "and one for each user");

    assert_eq!(service.rename(1, "Ada L.").await, 204);
    let user: Option<User> = service.get("/users/1").await;
    assert_eq!(
        user,
        Some(User {
            id: 1,
            name: "Ada L.".into()
        })
    );
    assert_eq!(greeting(1, "en").await.as_deref(), Some("Hello, Ada L.!"));
    assert_eq!(greeting(1, "de").await.as_deref(), Some("Hallo, Ada L.!"));
    assert_eq!(
        service.shop.queries(),
        4,
        "one more for the user that changed"
    );
    assert_eq!(greeting(2, "en").await.as_deref(), Some("Hello, grace!"));
    let _: Vec<Product> = service.get("/products").await;
    assert_eq!(service.shop.queries(), 4, "nothing else was touched");

    assert_eq!(service.rename(99, "nobody").await, 404);
    assert_eq!(greeting(99, "en").await, None);
    let stats = service
        .client
        .get(format!("{}/stats", service.address))
        .send()
        .await;
    let stats = stats.expect("it answers").text().await.expect("it is text");
    assert!(stats.contains("database queries: 5"), "{stats}");
    assert!(stats.contains("products_api.Shop.list_products"), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_process_many_requests_make_one_query_and_a_write_is_seen_at_once() {
    let cache = Cache::builder()
        .in_process()
        .build()
        .expect("nothing to go wrong");
    many_requests_one_query_and_a_write_is_seen_at_once(cache).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_many_requests_make_one_query_and_a_write_is_seen_at_once() {
    let server = Server::start();
    many_requests_one_query_and_a_write_is_seen_at_once(cache_on(&server.url(), "shop")).await;
}
