use std::sync::Arc;
use std::time::Duration;

use super::command_batcher::{CommandBatcher, Submission};
use super::limits::*;
use super::request::{BatchRequest, RequestOutcome};
use crate::error::ErrorKind;
use tokio::sync::oneshot;

use redis::cmd;

const LIMIT: Duration = Duration::from_secs(20);

fn open() -> Arc<CommandBatcher> {
    let batcher = Arc::new(CommandBatcher::new(LIMIT));
    batcher.set_open(true, || unreachable!("it is open"));
    batcher
}

fn ask(batcher: &Arc<CommandBatcher>, urgent: bool, bytes: usize) -> Submission {
    batcher.begin(
        BatchRequest::commands(vec![vec![cmd("PING")]], urgent),
        bytes,
    )
}

/// Submits a request that waits with others.
fn together(batcher: &Arc<CommandBatcher>, urgent: bool) -> oneshot::Receiver<RequestOutcome> {
    match ask(batcher, urgent, 0) {
        Submission::Together(reply) => reply,
        _ => panic!("it does not wait with others"),
    }
}

#[test]
fn the_first_is_sent_by_its_caller_and_those_after_it_share_pipelines() {
    let batcher = open();
    let alone = ask(&batcher, false, 0);
    assert!(matches!(alone, Submission::SoleRequest(Some(_), _)));
    let replies: Vec<_> = (0..100).map(|_| together(&batcher, false)).collect();
    let counts: Vec<usize> = std::iter::from_fn(|| Some(batcher.next()?.count)).collect();
    assert_eq!(counts, [64, 36]);
    drop(alone);
    drop(replies);
}

#[test]
fn what_ends_calls_goes_before_what_begins_them() {
    let batcher = open();
    let _alone = ask(&batcher, false, 0);
    let _replies = [false, true, false, true].map(|urgent| together(&batcher, urgent));
    let batch = batcher.next().expect("they wait");
    let order: Vec<bool> = batch
        .pending()
        .iter()
        .map(|pending| pending.request.is_urgent())
        .collect();
    assert_eq!(order, [true, true, false, false]);
}

#[test]
fn no_more_is_on_the_way_than_there_is_room_for_and_a_reply_makes_some() {
    let batcher = open();
    let _alone = ask(&batcher, false, 0);
    let _replies: Vec<_> = (0..1_000).map(|_| together(&batcher, false)).collect();
    let sent: Vec<_> = std::iter::from_fn(|| batcher.next()).collect();
    let count: usize = sent.iter().map(|batch| batch.count).sum();
    assert_eq!(count, MOST_IN_FLIGHT);
    batcher.done(&sent[0]);
    assert_eq!(batcher.next().expect("there is room").count, MOST);
    assert!(batcher.next().is_none());
}

#[test]
fn large_ones_share_no_pipeline() {
    let batcher = open();
    let _alone = ask(&batcher, false, 0);
    let _replies = [(); 3].map(|()| ask(&batcher, true, MOST_BYTES));
    for _ in 0..3 {
        assert_eq!(batcher.next().expect("it waits").count, 1);
    }
}

#[test]
fn who_has_left_is_not_sent() {
    let batcher = open();
    let _alone = ask(&batcher, false, 0);
    drop(together(&batcher, false));
    let _reply = together(&batcher, false);
    assert_eq!(batcher.next().expect("one waits").count, 1);
    assert!(batcher.next().is_none());
}

#[test]
fn those_who_have_left_take_no_room() {
    let batcher = open();
    let _alone = ask(&batcher, false, 0);
    let _reply = together(&batcher, true);
    for _ in 0..100_000 {
        drop(together(&batcher, false));
    }
    let waiting = batcher.state().waiting();
    assert!(waiting < 2_000, "{waiting} wait");
    assert_eq!(batcher.next().expect("one waits").count, 1);
}

#[test]
fn beyond_its_bounds_it_refuses_and_says_so_once() {
    let batcher = open();
    let _alone = ask(&batcher, false, 0);
    let _reply = ask(&batcher, true, MOST_BYTES_WAITING);
    for first in [true, false] {
        match ask(&batcher, true, 1) {
            Submission::Refused { first: is } => assert_eq!(is, first),
            _ => panic!("there is no room"),
        }
    }
    // After there was room again, the next refusal is reported again.
    assert!(batcher.next().is_some());
    let _reply = ask(&batcher, true, MOST_BYTES_WAITING);
    assert!(matches!(
        ask(&batcher, true, 1),
        Submission::Refused { first: true }
    ));
}

#[test]
fn what_waits_gets_the_reason_when_nothing_is_sent_any_more() {
    let batcher = open();
    let _alone = ask(&batcher, false, 0);
    let reply = together(&batcher, false);
    batcher.set_open(false, refused);
    let outcome = reply.blocking_recv().expect("it is told");
    let error = outcome.reply.err().expect("nothing was sent");
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(matches!(
        ask(&batcher, false, 0),
        Submission::SoleRequest(None, _)
    ));
}
