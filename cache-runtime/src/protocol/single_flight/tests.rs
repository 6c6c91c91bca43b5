use super::*;

use std::cell::Cell;
use std::task::Waker;

fn key() -> Key {
    Key::of("ns:user:1")
}

fn groups() -> Arc<[Group]> {
    Arc::from([Group::function("ns", "user")])
}

fn lead(flights: &Arc<SingleFlight>) -> Leader {
    match flights.join(&key(), &groups()) {
        FlightRole::Leader(lead) => lead,
        FlightRole::Follow(_) => panic!("there is a flight already"),
    }
}

fn follow(flights: &Arc<SingleFlight>) -> Follower {
    match flights.join(&key(), &groups()) {
        FlightRole::Follow(follower) => follower,
        FlightRole::Leader(_) => panic!("there is no flight"),
    }
}

/// Returns `true` if a caller that arrives now joins a flight.
fn is_joined(flights: &Arc<SingleFlight>) -> bool {
    matches!(flights.join(&key(), &groups()), FlightRole::Follow(_))
}

fn value() -> Erased {
    Arc::new(7u32)
}

#[test]
fn a_flight_that_was_waited_for_in_vain_is_given_up_and_no_later_one() {
    let flights = Arc::new(SingleFlight::new());
    let first = lead(&flights);
    let follower = follow(&flights);
    flights.give_up(&key(), &follower);
    let second = lead(&flights);
    // A second follower of the first flight gives up.
    flights.give_up(&key(), &follower);
    assert!(is_joined(&flights), "the second is not what was waited for");
    drop((first, second));
}

#[test]
fn a_failure_reaches_those_who_wait_and_is_no_abandonment() {
    let flights = Arc::new(SingleFlight::new());
    let mut leader = lead(&flights);
    let follower = follow(&flights);
    leader.fail(|| Some(value()));
    drop(leader);
    let result = pollster::block_on(follower.result());
    assert!(matches!(result, FlightResult::Failed(Some(_))));
}

#[test]
fn a_failure_is_made_only_for_those_who_wait() {
    let flights = Arc::new(SingleFlight::new());
    let made = Cell::new(0);
    lead(&flights).fail(|| {
        made.set(made.get() + 1);
        None
    });
    assert_eq!(made.get(), 0);
    assert!(!is_joined(&flights), "it takes no more joiners");
}

#[test]
fn a_change_is_remembered_though_the_leader_has_looked_anew() {
    let flights = Arc::new(SingleFlight::new());
    let leader = lead(&flights);
    leader.look_anew();
    assert!(!leader.has_changed());
    flights.mark_stale(key().as_str());
    assert!(leader.has_changed());
    leader.look_anew();
    assert!(
        leader.has_changed(),
        "somebody may have joined after the change"
    );
    assert!(
        !leader.close(|| {}),
        "what is read now is as new as the change"
    );
}

#[test]
fn nothing_is_kept_of_a_flight_that_was_touched_or_retired() {
    for keep in [
        |leader: &Leader, kept: &Cell<u32>| leader.keep(|| kept.set(kept.get() + 1)),
        |leader: &Leader, kept: &Cell<u32>| {
            let _ = leader.close(|| kept.set(kept.get() + 1));
        },
    ] {
        let kept = Cell::new(0);
        let flights = Arc::new(SingleFlight::new());
        let leader = lead(&flights);
        flights.mark_stale(key().as_str());
        keep(&leader, &kept);
        assert_eq!(kept.get(), 0, "it was touched");
        drop(leader);

        let leader = lead(&flights);
        flights.close_to_joiners(&key());
        keep(&leader, &kept);
        assert_eq!(kept.get(), 0, "it was retired");
        drop(leader);

        let leader = lead(&flights);
        keep(&leader, &kept);
        assert_eq!(kept.get(), 1);
    }
}

#[test]
fn a_closed_flight_takes_no_joiners_and_says_whether_it_was_touched() {
    let flights = Arc::new(SingleFlight::new());
    let leader = lead(&flights);
    assert!(!leader.close(|| {}));
    assert!(!is_joined(&flights));
    drop(leader);
    let leader = lead(&flights);
    flights.mark_stale(key().as_str());
    assert!(leader.close(|| {}));
    assert!(!leader.close(|| {}), "once");
}

#[test]
fn who_leaves_does_not_take_a_later_flight_with_it() {
    let flights = Arc::new(SingleFlight::new());
    let first = lead(&flights);
    flights.close_by_text(key().as_str());
    let second = lead(&flights);
    first.leave();
    drop(first);
    assert!(is_joined(&flights));
    second.finish(value);
    assert!(!is_joined(&flights));
}

#[test]
fn what_lands_is_given_to_those_who_come_until_its_leader_goes() {
    let flights = Arc::new(SingleFlight::new());
    let mut leader = lead(&flights);
    leader.land(value());
    let late = follow(&flights);
    drop(leader);
    let result = pollster::block_on(late.result());
    assert!(
        matches!(result, FlightResult::Landed(_)),
        "it is not abandoned"
    );
    assert!(!is_joined(&flights));
}

#[test]
fn a_flight_beside_another_is_joined_by_nobody_and_one_apart_ends_it() {
    let flights = Arc::new(SingleFlight::new());
    let leader = lead(&flights);
    let aside = flights.detached(&key(), &groups());
    assert!(is_joined(&flights));
    drop(aside);
    assert!(is_joined(&flights));
    let apart = flights.replace(&key(), &groups());
    let next = lead(&flights);
    drop((leader, apart));
    assert!(is_joined(&flights), "the next one stands");
    drop(next);
}

#[test]
fn groups_that_change_retire_their_flights_and_no_others() {
    let flights = Arc::new(SingleFlight::new());
    let leader = lead(&flights);
    flights.close_where(|_, groups| groups.iter().any(|group| group.key().contains("other")));
    assert!(is_joined(&flights));
    flights.close_where(|_, groups| groups.iter().any(|group| group.key().contains("user")));
    assert!(!is_joined(&flights));
    drop(leader);
}

#[test]
fn those_who_wait_know_when_the_computation_began() {
    let flights = Arc::new(SingleFlight::new());
    let leader = lead(&flights);
    let follower = follow(&flights);
    assert!(follower.begun().is_none());
    let before = Instant::now();
    leader.begin();
    let begun = follower.begun().expect("it has begun");
    assert!(begun >= before && begun <= Instant::now());
}

#[test]
fn after_a_failure_so_many_try_for_themselves_at_a_time() {
    let flights = Arc::new(SingleFlight::new());
    let mut leader = lead(&flights);
    let follower = follow(&flights);
    leader.fail(|| None);
    let turn = |limit| pollster::block_on(follower.turn(limit));
    let turns: Vec<_> = (0..WIDTH).map(|_| turn(Duration::from_secs(20))).collect();
    assert!(turns.iter().all(Option::is_some));
    assert!(turn(Duration::from_millis(20)).is_none(), "one more");
    drop(turns);
    assert!(turn(Duration::from_secs(20)).is_some());
}

#[test]
fn a_value_is_given_to_those_who_wait_and_made_for_nobody_else() {
    let flights = Arc::new(SingleFlight::new());
    lead(&flights).finish(|| panic!("nobody waits"));
    assert!(!is_joined(&flights));
    for followers in [1, 2] {
        let leader = lead(&flights);
        let followers: Vec<_> = (0..followers).map(|_| follow(&flights)).collect();
        leader.finish(value);
        for follower in followers {
            let result = pollster::block_on(follower.result());
            assert!(matches!(result, FlightResult::Landed(_)));
        }
    }
}

#[test]
fn an_attendant_retires_the_call_and_abandons_a_flight_that_nobody_polls() {
    let flights = Arc::new(SingleFlight::new());
    let leader = lead(&flights);
    let attendant = leader.attend();
    assert!(!attendant.abandon_if_stalled(Duration::ZERO), "not begun");
    let pulse = leader.begin();
    assert!(!attendant.abandon_if_stalled(Duration::ZERO), "it waits");
    assert!(is_joined(&flights));
    let follower = follow(&flights);
    Waker::from(pulse).wake();
    let minute = Duration::from_secs(60);
    assert!(
        !attendant.abandon_if_stalled(minute),
        "it was woken just now"
    );
    assert!(is_joined(&flights));
    assert!(attendant.abandon_if_stalled(Duration::ZERO));
    let result = pollster::block_on(follower.result());
    assert!(matches!(result, FlightResult::Abandoned));
    // The flight of a later leader is not abandoned with the first flight.
    let next = lead(&flights);
    assert!(attendant.abandon_if_stalled(Duration::ZERO));
    assert!(is_joined(&flights));
    attendant.close_to_joiners();
    assert!(!is_joined(&flights), "whichever there is");
    drop((leader, next));
}
