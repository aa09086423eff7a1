//! Figures that many ask for.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::app::{Engine, TestApp};
use crate::harness::eventually::eventually;

#[tokio::test]
async fn the_next_figures_show_what_the_caller_has_written() {
    for engine in [Engine::Elasticsearch, Engine::Postgres] {
        let test = TestApp::start_on(engine).await;
        let agent = test.agent().await;
        for number in 1..=5 {
            let new = json!({ "amount": 10, "method": "cash", "status": "success" });
            agent.post("/payments", &new).await.expect(201);
            let stats = agent.get("/payments/stats").await.expect(200);
            assert_eq!(
                (&stats["totalTransactionsToday"], &stats["totalRevenue"]),
                (&json!(number), &json!(10.0 * f64::from(number))),
                "{engine:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_last_figures_stand_in_and_are_marked_while_none_can_be_counted() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    agent.post("/payments", &json!({ "amount": 10, "method": "cash", "status": "success" })).await.expect(201);
    let stats = agent.get("/payments/stats").await.expect(200);
    assert!(stats.get("stale").is_none(), "{stats}");
    let mut holder = test.database.pool.begin().await.unwrap();
    sqlx::query("lock table payments in access exclusive mode").execute(&mut *holder).await.unwrap();
    eventually("the last figures are shown", async || {
        let answers = join_all((0..5).map(|_| agent.get("/payments/stats"))).await;
        answers.into_iter().all(|answer| {
            let stats = answer.expect(200);
            assert_eq!(stats["totalRevenue"], json!(10.0));
            stats["stale"] == json!(true)
        })
    })
    .await;
    // There are none of this kind.
    let refused = agent.get("/payments/failures").await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    holder.rollback().await.unwrap();
    eventually("they are counted again", async || agent.get("/payments/stats").await.expect(200).get("stale").is_none()).await;
}
