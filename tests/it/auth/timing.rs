//! How long a log-in that fails takes tells nothing of users.

use std::time::Instant;

use collections::auth::Role;
use serde_json::json;

use crate::harness::app::{PASSWORD, TestApp};

/// Log-ins of each kind: with 300, means that differ by a third of their deviation are told apart.
const ROUNDS: usize = 300;
/// Welch's t of two means that are equal stays below it in all but one of 100,000 comparisons, as leak tests of hardware ask.
const EQUAL: f64 = 4.5;

/// Mean and variance in milliseconds.
fn moments(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    (mean, times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0))
}

/// Welch's t of two samples.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let ((mean, variance), (other_mean, other_variance)) = (moments(one), moments(other));
    (mean - other_mean) / (variance / one.len() as f64 + other_variance / other.len() as f64).sqrt()
}

/// Without the slowest tenth, which is what else the machine did.
fn trimmed(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len() * 9 / 10);
    times
}

#[test]
fn samples_that_differ_are_told_apart() {
    let sample = |from: f64| (0..100).map(|n| from + f64::from(n % 10)).collect::<Vec<_>>();
    assert!(welch(&sample(20.0), &sample(20.0)).abs() < 1e-9);
    assert!((welch(&sample(20.0), &sample(22.0)) + 4.9).abs() < 0.1);
}

#[tokio::test]
#[ignore = "compares times; run it alone on a quiet machine"]
async fn a_failed_log_in_takes_as_long_whether_there_is_such_a_user_or_not() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    test.user("joan", Role::Agent).await;
    sqlx::query("update users set disabled_at = now() where username = 'joan'").execute(&test.database.pool).await.unwrap();
    let kinds = [("wrong password", "jane", "wrong password"), ("unknown", "none", PASSWORD), ("disabled", "joan", PASSWORD)];
    let mut times = [const { Vec::new() }; 3];
    for round in 0..ROUNDS + 20 {
        // Each kind comes first as often as the others.
        for kind in (0..3).map(|turn| (round + turn) % 3) {
            let (_, username, password) = kinds[kind];
            let body = json!({ "username": username, "password": password });
            let begun = Instant::now();
            assert_eq!(test.anonymous().post("/auth/login", &body).await.status, 401);
            // The first ones open connections.
            if round >= 20 {
                times[kind].push(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let times = times.map(trimmed);
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let (t, means) = (welch(&times[one], &times[other]), [one, other].map(|kind| moments(&times[kind]).0));
        println!("{} {:.2} ms, {} {:.2} ms: t = {t:.2}", kinds[one].0, means[0], kinds[other].0, means[1]);
        assert!(t.abs() < EQUAL, "{} and {} can be told apart: t = {t:.2}", kinds[one].0, kinds[other].0);
    }
}
