//! Announcements: exactly what changed, in order, once it is visible, on every server; and a consumer learns of gaps.

use std::sync::Arc;
use std::time::Duration;

use collections::app::App;
use collections::feed::{Announcement, Changes, Feed, Gone, Operation, Source, Subscription};
use collections::sync::store::checkpoint;
use collections::values::lsn::{Epoch, Lsn};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::harness::app::redis_url;
use crate::harness::people::person;
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::{self, Synced};

const LONG: Duration = Duration::from_secs(120);

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Everything that is announced up to the end of the log.
async fn all(test: &Synced, subscription: &mut Subscription) -> Vec<Announcement> {
    let end = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
    until(&test.app.feed, |feed| feed.reached() >= end).await;
    let mut received = Vec::new();
    while let Ok(entry) = tokio::time::timeout(Duration::from_millis(100), subscription.next()).await {
        received.push(entry.unwrap());
    }
    assert!(received.is_sorted_by_key(|entry| entry.lsn));
    received.iter().flat_map(|entry| entry.announcements.clone()).collect()
}

async fn until(feed: &Arc<Feed>, condition: impl Fn(&Feed) -> bool) {
    for _ in 0..1_200 {
        if condition(feed) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never true; the source is {:?}, and {} is announced", feed.source(), feed.reached());
}

fn in_words(announcements: &[Announcement]) -> Vec<String> {
    announcements.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn announcements_name_exactly_what_changed_in_order() {
    let mut test = Synced::started().await;
    let mut subscription = test.app.feed.subscribe();
    let customer = id(1);
    test.insert(person(1, "Ada")).await;
    assert_eq!(in_words(&all(&test, &mut subscription).await), [format!("customers {customer} Created 1")]);
    test.sql(&format!("update customers set name = 'Grace' where id = '{customer}'")).await;
    let account = id(2);
    test.sql(&format!(
        "insert into accounts (id, account_number, customer_id, currency) values ('{account}', 'A1', '{customer}', 'EUR')"
    ))
    .await;
    let received = all(&test, &mut subscription).await;
    let mut words = in_words(&received);
    // Commits that are close to each other may be announced together; a row is then named where it changed last.
    words.dedup();
    assert_eq!(words.last().unwrap(), &format!("customers {customer} Changed{}", if words.len() == 2 { " 2" } else { "" }));
    assert!(words.contains(&format!("accounts {account} Created 1")), "{words:?}");
    test.sql(&format!("update customers set deleted_at = now() where id = '{customer}'")).await;
    assert_eq!(in_words(&all(&test, &mut subscription).await), [format!("customers {customer} Deleted 3")]);
    test.sql(&format!("update customers set deleted_at = null where id = '{customer}'")).await;
    assert_eq!(in_words(&all(&test, &mut subscription).await), [format!("customers {customer} Changed 4")]);
    test.sql(&format!(
        "insert into contact_points (id, customer_id, kind, value, normalized) values ('{}', '{customer}', 'email', 'a@b.c', 'a@b.c')",
        id(3)
    ))
    .await;
    assert_eq!(in_words(&all(&test, &mut subscription).await), [format!("customers {customer} Changed")]);
    test.sql(&format!("delete from accounts where id = '{account}'")).await;
    let gone = in_words(&all(&test, &mut subscription).await);
    assert_eq!(gone, [format!("accounts {account} Deleted"), format!("customers {customer} Changed")]);
    test.stop().await;
    assert_eq!(test.app.feed.source(), Source::None, "it no longer leads");
}

#[tokio::test]
async fn a_log_in_and_a_log_out_are_announced_and_a_use_is_not() {
    let mut test = Synced::started().await;
    let mut subscription = test.app.feed.subscribe();
    let (user, session) = (id(1), id(2));
    test.sql(&format!("insert into users (id, username, password_hash) values ('{user}', 'jane', 'x')")).await;
    test.sql(&format!("insert into sessions (id, user_id, expires_at) values ('{session}', '{user}', now() + '1 day')")).await;
    let received = in_words(&all(&test, &mut subscription).await);
    assert_eq!(received, [format!("users {user} Created 1"), format!("sessions {session} Created 1")]);
    test.sql("update sessions set last_seen_at = now(), ip = '192.0.2.1'").await;
    assert_eq!(in_words(&all(&test, &mut subscription).await), Vec::<String>::new());
    test.sql("update users set role = 'agent'").await;
    let received = in_words(&all(&test, &mut subscription).await);
    assert!(received.contains(&format!("sessions {session} Changed 3")), "{received:?}");
    let may_read = "select has_column_privilege('collections_sync', 'sessions', $1, 'select')";
    for (column, expected) in [("user_id", true), ("revoked_at", true), ("device", false), ("ip", false)] {
        let found: bool = sqlx::query_scalar(may_read).bind(column).fetch_one(&test.pool).await.unwrap();
        assert_eq!(found, expected, "{column}");
    }
    test.stop().await;
}

#[tokio::test]
async fn a_commit_is_announced_only_when_it_is_visible() {
    let held = crate::sync::faults::HeldBack::start().await;
    let feed = Arc::clone(&held.test.app.feed);
    let mut subscription = feed.subscribe();
    let early = tokio::time::timeout(Duration::from_millis(500), subscription.next()).await;
    assert!(early.is_err(), "the commit is not visible yet");
    let (mut test, _cluster) = held.release().await;
    let entry = tokio::time::timeout(LONG, subscription.next()).await.unwrap().unwrap();
    assert_eq!(entry.announcements[0].operation, Operation::Changed);
    let name: String = sqlx::query_scalar("select name from customers").fetch_one(&test.pool).await.unwrap();
    assert_eq!(name, "After");
    test.stop().await;
}

#[tokio::test]
async fn announcements_do_not_wait_for_an_index_that_hangs() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let mut test = Synced::started_with(&["--elasticsearch-url", &url, "--bulk-timeout", "2s"]).await;
    let mut subscription = test.app.feed.subscribe();
    let indexed = test.app.watermark.get();
    proxy.set(Mode::Hang);
    for number in 0..50 {
        test.insert(person(number, "Ada")).await;
        let entry = tokio::time::timeout(LONG, subscription.next()).await.unwrap().unwrap();
        assert_eq!(entry.announcements.iter().map(|one| one.id).collect::<Vec<_>>(), [id(number)]);
        assert!(entry.lsn > indexed);
    }
    assert!(test.app.watermark.get() < test.app.feed.reached(), "the index does not have them");
    proxy.set(Mode::Pass);
    test.settle().await;
    test.stop().await;
}

#[tokio::test]
async fn a_consumer_resumes_where_it_was_or_learns_that_it_cannot() {
    let test = Synced::started_with(&["--feed-history", "10"]).await;
    let feed = &test.app.feed;
    let epoch = feed.epoch().unwrap();
    let mut slow = feed.subscribe();
    let mut quick = feed.subscribe();
    let mut lsns = Vec::new();
    for number in 0..30 {
        test.insert(person(number, "Ada")).await;
        let entry = tokio::time::timeout(LONG, quick.next()).await.unwrap().unwrap();
        assert_eq!(entry.announcements.iter().map(|one| one.id).collect::<Vec<_>>(), [id(number)]);
        lsns.push(entry.lsn);
    }
    assert_eq!(slow.next().await.err(), Some(Gone), "a slow consumer gets an error for the gap");
    assert_eq!(slow.next().await.err(), Some(Gone), "and not allowed to overlook it");
    assert_eq!(feed.resume(epoch, lsns[10]).err(), Some(Gone));
    assert_eq!(feed.resume(Epoch(epoch.0 + 1), lsns[25]).err(), Some(Gone), "LSNs of another epoch mean nothing");
    let mut resumed = feed.resume(epoch, lsns[25]).unwrap();
    for number in 26..30 {
        let entry = tokio::time::timeout(LONG, resumed.next()).await.unwrap().unwrap();
        assert_eq!(entry.announcements[0].id, id(number));
    }
    assert!(feed.resume(epoch, Lsn(lsns[29].0 + 1_000_000)).is_ok(), "another server may be ahead");
}

#[tokio::test]
async fn an_emptied_table_is_a_gap() {
    let mut test = Synced::started().await;
    test.insert(person(1, "Ada")).await;
    let mut subscription = test.app.feed.subscribe();
    test.sql("truncate contact_points").await;
    let gap = async { while subscription.next().await.is_ok() {} };
    tokio::time::timeout(LONG, gap).await.unwrap();
    test.stop().await;
}

/// A process that only follows.
fn follower(test: &Synced, redis: &str) -> App {
    let url = test.app.config.database.url.expose_secret();
    let app = synced::open(url, &test.app.config.search.index_prefix, &["--redis-url", redis]);
    tokio::spawn(Arc::clone(&app.feed).follow(app.stop.clone()));
    app
}

#[tokio::test]
async fn other_servers_get_the_same_announcements_and_learn_of_gaps() {
    let Some(url) = redis_url() else { return };
    let (proxy, url) = Proxy::before(&url).await;
    let mut test = Synced::started_with(&["--redis-url", &url]).await;
    let other = follower(&test, &url);
    until(&other.feed, |feed| feed.source() == Source::Other).await;
    let (mut here, mut there) = (test.app.feed.subscribe(), other.feed.subscribe());
    for number in 0..20 {
        test.insert(person(number, "Ada")).await;
    }
    let here = all(&test, &mut here).await;
    let mut received = Vec::new();
    while received.len() < here.len() {
        let entry = tokio::time::timeout(LONG, there.next()).await.unwrap().unwrap();
        received.extend(entry.announcements.iter().cloned());
        assert!(other.feed.resume(entry.epoch, entry.lsn).is_ok(), "a consumer may resume on any server");
    }
    assert_eq!(received, here);

    proxy.set(Mode::Refuse);
    until(&other.feed, |feed| feed.source() == Source::None).await;
    let mut local = test.app.feed.subscribe();
    for number in 0..4 {
        test.insert(person(100 + number, "Ada")).await;
    }
    assert_eq!(all(&test, &mut local).await.len(), 4, "consumers in the process are not affected");
    proxy.set(Mode::Pass);
    until(&other.feed, |feed| feed.source() == Source::Other).await;
    let missed = async {
        let mut received = Vec::new();
        while let Ok(entry) = there.next().await {
            received.extend(entry.announcements.iter().map(|one| one.id));
            if received.contains(&id(103)) {
                break;
            }
        }
        received
    };
    let received = tokio::time::timeout(LONG, missed).await.unwrap();
    // Either all of it arrives late, or the consumer gets an error.
    let is_complete = (100..104).all(|number| received.contains(&id(number)));
    assert!(is_complete || there.next().await.is_err(), "{received:?}");
    test.stop().await;
    other.stop.cancel();
}

#[tokio::test]
async fn what_redis_loses_before_a_server_reads_it_is_a_gap() {
    let Some(url) = redis_url() else { return };
    let (proxy, through) = Proxy::before(&url).await;
    let mut test = Synced::started_with(&["--redis-url", &url]).await;
    let (near, far) = (follower(&test, &url), follower(&test, &through));
    for app in [&near, &far] {
        until(&app.feed, |feed| feed.source() == Source::Other).await;
    }
    let mut subscription = far.feed.subscribe();
    proxy.set(Mode::Refuse);
    until(&far.feed, |feed| feed.source() == Source::None).await;
    insert_and_wait(&test, &near, 1).await;
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let name = &test.app.config.search.index_prefix;
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{name}:{name}:*")).query_async(&mut connection).await.unwrap();
    redis::cmd("DEL").arg(keys).exec_async(&mut connection).await.unwrap();
    insert_and_wait(&test, &near, 2).await;
    proxy.set(Mode::Pass);
    assert_eq!(tokio::time::timeout(LONG, subscription.next()).await.unwrap().err(), Some(Gone));
    until(&far.feed, |feed| feed.reached() >= near.feed.reached()).await;
    test.stop().await;
    for app in [near, far] {
        app.stop.cancel();
    }
}

/// Inserts a customer and waits until another server knows.
async fn insert_and_wait(test: &Synced, other: &App, number: u128) {
    test.insert(person(number, "Ada")).await;
    let end = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
    until(&other.feed, |feed| feed.reached() >= end).await;
}

#[tokio::test]
async fn a_new_leader_announces_only_what_the_former_one_has_not() {
    let Some(url) = redis_url() else { return };
    let database = crate::harness::database::Database::create().await;
    let open = || synced::open(&database.url, &database.name, &["--redis-url", &url]);
    let follow = |app: &App| tokio::spawn(Arc::clone(&app.feed).follow(app.stop.clone()));
    let (former, late, other) = (open(), open(), open());
    let _following = [follow(&former), follow(&other)];
    let mut subscription = other.feed.subscribe();
    let changes = |number| {
        let mut changes = Changes::default();
        changes.row("customers", id(number), Operation::Changed, Some(2));
        changes
    };
    let _former = former.feed.lead(Epoch(1), Lsn(10));
    former.feed.announce(&changes(1), Lsn(20));
    former.feed.announce(&changes(2), Lsn(30));
    until(&other.feed, |feed| feed.reached() == Lsn(30)).await;
    // Its batches have other sizes, and it has not followed what was announced before.
    let _late = late.feed.lead(Epoch(1), Lsn(10));
    late.feed.announce(&changes(1), Lsn(15));
    late.feed.announce(&changes(2), Lsn(30));
    late.feed.announce(&changes(3), Lsn(40));
    let _late_following = follow(&late);
    until(&other.feed, |feed| feed.reached() == Lsn(40)).await;
    assert_eq!(subscription.next().await.err(), Some(Gone), "it subscribed before there was a leader");
    let mut subscription = other.feed.resume(Epoch(1), Lsn(10)).unwrap();
    for number in 1..=3 {
        assert_eq!(subscription.next().await.unwrap().announcements[0].id, id(number));
    }
    for app in [former, late, other] {
        app.stop.cancel();
    }
}
