//! Products and users over HTTP, read from SQLite through the cache.
//!
//! - `GET /products`: one entry with a fixed key, for 5 minutes
//! - `GET /users/{id}`, `GET /users/{id}/greeting/{language}`: an entry per user
//! - `PUT /users/{id}`: writes, then invalidates `get_user*` for that one user
//! - `GET /stats`: the counters

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use recached::{Cache, cached};
use serde::{Deserialize, Serialize};
use sqlx::{Row, SqlitePool};

/// A product of the shop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Id of the product.
    pub id: i64,
    /// Name of the product.
    pub name: String,
    /// Price in cents.
    pub cents: i64,
}

/// A user of the shop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Id of the user.
    pub id: i64,
    /// Name of the user.
    pub name: String,
}

/// The shop: its database, its cache, and a count of database queries.
#[derive(Clone)]
pub struct Shop {
    pool: SqlitePool,
    cache: Cache,
    queries: Arc<AtomicU64>,
}

impl Shop {
    /// Creates a shop with some products and users.
    ///
    /// # Errors
    ///
    /// Returns the errors of the database.
    pub async fn open(pool: SqlitePool, cache: Cache) -> Result<Self, sqlx::Error> {
        for statement in [
            "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, cents INTEGER NOT NULL)",
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
            "INSERT INTO products VALUES (1, 'tea', 450), (2, 'coffee', 690)",
            "INSERT INTO users VALUES (1, 'ada'), (2, 'grace')",
        ] {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Self {
            pool,
            cache,
            queries: Arc::default(),
        })
    }

    /// Number of queries that have read from the database.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    #[cached(ttl = "5m", key = "products", cache = self.cache)]
    async fn list_products(&self) -> Result<Arc<Vec<Product>>, sqlx::Error> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let rows = sqlx::query("SELECT id, name, cents FROM products ORDER BY id")
            .fetch_all(&self.pool)
            .await?;
        let product = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Product {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                cents: row.try_get(2)?,
            })
        };
        rows.iter()
            .map(product)
            .collect::<Result<_, sqlx::Error>>()
            .map(Arc::new)
    }

    #[cached(ttl = 60, skip(self), cache = self.cache)]
    async fn get_user(&self, id: i64) -> Result<Option<User>, sqlx::Error> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let row = sqlx::query("SELECT id, name FROM users WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(User {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
            })
        })
        .transpose()
    }

    #[cached(ttl = 60, skip(self), cache = self.cache)]
    async fn get_user_greeting(
        &self,
        id: i64,
        language: &str,
    ) -> Result<Option<String>, sqlx::Error> {
        let hello = if language == "de" { "Hallo" } else { "Hello" };
        Ok(self
            .get_user(id)
            .await?
            .map(|user| format!("{hello}, {}!", user.name)))
    }

    async fn rename(&self, id: i64, name: &str) -> Result<bool, Failure> {
        let done = sqlx::query("UPDATE users SET name = ? WHERE id = ?")
            .bind(name)
            .bind(id)
            .execute(&self.pool)
            .await?;
        // Invalidates every cached function of this user, with or without further arguments. The
        // row is already written. In an outage of Redis the invalidation is queued, which is `Ok`,
        // so `?` fails the request only if the invalidation can never be delivered, as with a
        // missing right.
        let _ = self
            .cache
            .invalidate_keys(&format!("get_user*:{id}:*"))
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Response to a failed request.
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}

/// Routes of the service.
pub fn app(shop: Shop) -> Router {
    Router::new()
        .route("/products", get(products))
        .route("/users/{id}", get(user).put(rename))
        .route("/users/{id}/greeting/{language}", get(greeting))
        .route("/stats", get(stats))
        .with_state(shop)
}

async fn products(State(shop): State<Shop>) -> Result<Json<Vec<Product>>, Failure> {
    Ok(Json(shop.list_products().await?.to_vec()))
}

async fn user(
    State(shop): State<Shop>,
    Path(id): Path<i64>,
) -> Result<Json<Option<User>>, Failure> {
    Ok(Json(shop.get_user(id).await?))
}

async fn greeting(
    State(shop): State<Shop>,
    Path((id, language)): Path<(i64, String)>,
) -> Result<Json<Option<String>>, Failure> {
    Ok(Json(shop.get_user_greeting(id, &language).await?))
}

async fn rename(
    State(shop): State<Shop>,
    Path(id): Path<i64>,
    Json(name): Json<String>,
) -> Result<StatusCode, Failure> {
    match shop.rename(id, &name).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Ok(StatusCode::NOT_FOUND),
    }
}

async fn stats(State(shop): State<Shop>) -> String {
    format!(
        "database queries: {}\n\n{}",
        shop.queries(),
        shop.cache.stats()
    )
}
