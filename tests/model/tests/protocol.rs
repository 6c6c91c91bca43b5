//! Tests that the guarantees hold in every state, and that each trap violates one.

use recached_model::{
    Event, Fault, GUARANTEES, Model, NO_LATE_FILL, NO_SECOND_COMPUTATION, NO_STALE_ANSWER,
    NOBODY_IS_STUCK, Scope, Trap,
};
use stateright::{Checker, HasDiscoveries, Model as _};

/// Explores all states and asserts the guarantees; each event in `reaches` must happen in some
/// state.
fn holds(scope: Scope, reaches: &[Event]) {
    // Depth first, because its queue of unexplored states takes little memory.
    let checker = Model::new(scope.clone()).checker();
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_dfs().join();
    println!("{} states within {scope:?}", checker.unique_state_count());
    for guarantee in GUARANTEES {
        checker.assert_no_discovery(guarantee);
    }
    for event in reaches {
        checker.assert_any_discovery(event.name());
    }
    assert!(checker.is_done(), "every state was looked at");
}

/// Finds one of the shortest violations of `guarantee`.
fn breaks(scope: Scope, guarantee: &'static str) {
    let checker = Model::new(scope).checker();
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let path = checker.assert_any_discovery(guarantee);
    println!(
        "{guarantee}: broken, found in {} states: {:?}",
        checker.unique_state_count(),
        path.into_actions()
    );
}

// Scopes in which the guarantees hold.

#[test]
fn it_holds_while_the_call_is_invalidated() {
    use Event::*;
    let reaches = [
        NearHit,
        RedisHit,
        Joined,
        JoinedLate,
        NotKept,
        ReadAgain,
        FillRefused,
        LeaseLost,
        WaitedAndFound,
    ];
    holds(Scope::of(&[2, 1]).removals(1), &reaches);
}

#[test]
fn it_holds_while_the_function_is_invalidated() {
    use Event::*;
    let reaches = [RedisHit, Overtaken, TakenOver, ClaimBehind, WaitedAndFound];
    holds(Scope::of(&[1, 1]).changes(1), &reaches);
    holds(Scope::of(&[3, 0]).changes(1), &[NearHit, Joined, NotKept]);
}

#[test]
fn it_holds_from_an_empty_server_on() {
    let scope = Scope::of(&[2, 0]).changes(1);
    holds(
        Scope {
            empty: true,
            ..scope
        },
        &[Event::Joined],
    );
}

#[test]
fn it_holds_through_a_fault_while_the_call_is_invalidated() {
    use Event::*;
    let reaches = [Overtaken, TakenOver, FillRefused, Succeeded, Reconnected];
    holds(
        Scope::of(&[1, 1]).removals(1).faults(1, &Fault::ALL),
        &reaches,
    );
    holds(
        Scope::of(&[2, 0]).removals(1).faults(1, &Fault::ALL),
        &[JoinedLate],
    );
}

#[test]
fn it_holds_through_a_fault_while_the_function_is_invalidated() {
    let scope = Scope::of(&[2, 0]).changes(1).faults(1, &Fault::ALL);
    holds(scope, &[Event::Joined, Event::Reconnected]);
}

#[test]
fn it_holds_while_the_lease_is_renewed() {
    let scope = Scope::of(&[1, 1]).removals(1).renewals(1);
    holds(scope, &[Event::LeaseLost]);
}

#[test]
fn it_holds_when_a_waiter_loses_its_patience() {
    let scope = Scope::of(&[2, 1]).removals(1);
    let scope = Scope {
        impatience: 1,
        ..scope
    };
    holds(scope, &[Event::LeaseLost, Event::Joined]);
}

#[test]
fn it_holds_with_two_connections_a_process() {
    let scope = Scope::of(&[3, 0]).removals(1);
    holds(Scope { links: 2, ..scope }, &[Event::Joined]);
}

#[test]
fn it_holds_in_the_finest_steps() {
    let scope = Scope::of(&[2, 1]).removals(1);
    holds(
        Scope {
            fine: true,
            ..scope
        },
        &[Event::NotKept],
    );
}

#[test]
fn it_holds_where_leases_are_asked_for_at_once() {
    use Event::*;
    let removed = Scope::of(&[2, 1]).removals(1).claiming_first();
    let reaches = [
        NearHit,
        Joined,
        NotKept,
        ReadAgain,
        FillRefused,
        LeaseLost,
        WaitedAndFound,
    ];
    holds(removed, &reaches);
    let changed = Scope::of(&[1, 1]).changes(1).claiming_first();
    holds(changed, &[TakenOver, ClaimBehind, WaitedAndFound]);
    holds(Scope::of(&[3, 0]).changes(1).claiming_first(), &[Joined]);
    let faults = Scope::of(&[1, 1]).removals(1).faults(1, &Fault::ALL);
    holds(
        faults.claiming_first(),
        &[TakenOver, Succeeded, Reconnected],
    );
    let untold = Scope {
        tracking: false,
        ..Scope::of(&[2, 1]).removals(1)
    };
    holds(untold.claiming_first(), &[WaitedAndFound]);
    let releases = Scope::of(&[1, 1]).releases(&[0, 1]).removals(1);
    holds(releases.claiming_first(), &[OtherRemoved, FillRefused]);
}

#[test]
fn without_pushes_it_holds_while_the_call_is_invalidated() {
    let scope = Scope::of(&[2, 1]).removals(1);
    holds(
        Scope {
            tracking: false,
            ..scope
        },
        &[Event::RedisHit],
    );
}

#[test]
fn it_holds_between_two_releases() {
    use Event::*;
    let scope = Scope::of(&[1, 1]).releases(&[0, 1]);
    holds(
        scope.clone().removals(1),
        &[OtherRemoved, FillRefused, LeaseLost],
    );
    holds(scope.clone().changes(1), &[]);
    let three = Scope::of(&[1, 1, 1]).releases(&[0, 1, 1]);
    holds(three.removals(1), &[OtherRemoved, WaitedAndFound]);
    let faults = [
        Fault::Flush,
        Fault::EvictRegistry,
        Fault::Crash,
        Fault::Disconnect,
    ];
    holds(scope.removals(1).faults(1, &faults), &[Lost, OtherRemoved]);
}

#[test]
fn it_holds_while_computations_fail() {
    use Event::*;
    let scope = Scope::of(&[3, 0]).failures(1, 1);
    holds(scope.clone().removals(1), &[StoodIn, Paused, Joined]);
    holds(scope.changes(1), &[StoodIn, Paused]);
    let scope = Scope::of(&[2, 1]).failures(1, 2);
    holds(scope.removals(1), &[StoodIn, Paused, PauseTaken]);
    let scope = Scope::of(&[2, 1])
        .failures(1, 1)
        .faults(1, &[Fault::Cancel]);
    holds(scope, &[StoodIn, Paused]);
}

#[test]
fn one_succeeds_whoever_dies() {
    let scope = Scope::of(&[1, 1, 1]).faults(2, &[Fault::Crash, Fault::Cancel]);
    holds(scope, &[Event::Succeeded]);
}

// Traps and the guarantees that they violate.

/// Smallest known scope in which a trap shows, and the guarantee that it violates.
fn trapped(trap: Trap) -> (Scope, &'static str) {
    let one = Scope::of(&[1, 0]).removals(1);
    // Two connections: on a single one, the push of an invalidation arrives before its reply.
    let two = Scope {
        links: 2,
        ..Scope::of(&[2])
    };
    let three = Scope::of(&[2, 1]);
    match trap {
        Trap::CountingGenerations => {
            let scope = Scope::of(&[1, 1]).changes(1);
            (scope.faults(1, &[Fault::EvictGeneration]), NO_LATE_FILL)
        }
        Trap::FillUnchecked | Trap::EntryFirst => (one, NO_LATE_FILL),
        Trap::StampedAfterwards => (Scope::of(&[1, 0]).changes(1), NO_LATE_FILL),
        Trap::StampIgnored => (Scope::of(&[1, 1]).changes(1), NO_STALE_ANSWER),
        Trap::KeptUnguarded | Trap::TouchIgnored => (three.removals(1), NO_STALE_ANSWER),
        Trap::FetchUnguarded => (three.changes(1), NO_STALE_ANSWER),
        Trap::NoLoop => {
            let scope = three.removals(1).faults(1, &[Fault::EvictEntry]);
            (scope, NO_STALE_ANSWER)
        }
        Trap::NeverRenewed | Trap::LookedOnce => (Scope::of(&[1, 1]), NO_SECOND_COMPUTATION),
        Trap::OwnCopiesForgotten => (two.removals(1), NO_STALE_ANSWER),
        Trap::OwnFlightsForgotten => (two.changes(1), NO_STALE_ANSWER),
        Trap::ReconnectedUnchanged => {
            let scope = three.removals(1).faults(1, &[Fault::Disconnect]);
            (scope, NO_STALE_ANSWER)
        }
        Trap::InvalidatedJoined => (Scope::of(&[2, 0]).changes(1), NO_STALE_ANSWER),
        Trap::LeaseUnread => (Scope::of(&[2, 0]).removals(1), NO_STALE_ANSWER),
        Trap::ReleaseUnchecked => {
            let scope = three.faults(2, &[Fault::Lapse, Fault::Cancel]);
            (scope, NO_SECOND_COMPUTATION)
        }
        Trap::AllSucceed => {
            let scope = Scope::of(&[1, 1, 1]).faults(1, &[Fault::Crash]);
            (scope, NO_SECOND_COMPUTATION)
        }
        Trap::DeafUntilAsleep => (Scope::of(&[1, 1]), NOBODY_IS_STUCK),
        Trap::LeaseAskedFirst => {
            let scope = Scope::of(&[2, 0]).removals(1).renewals(1);
            (scope, NO_STALE_ANSWER)
        }
        Trap::WaitingOpen => {
            let scope = Scope::of(&[2, 1]).changes(1);
            (
                Scope {
                    tracking: false,
                    ..scope
                },
                NO_STALE_ANSWER,
            )
        }
        Trap::OwnVariantOnly | Trap::AnnouncedLate => {
            let scope = Scope::of(&[1, 1]).releases(&[0, 1]);
            (scope.removals(1), NO_LATE_FILL)
        }
        Trap::RestorationTrusted => {
            let scope = Scope::of(&[1, 1]).releases(&[0, 1]).removals(1);
            (scope.faults(1, &[Fault::EvictRegistry]), NO_LATE_FILL)
        }
        Trap::StandInUnchecked | Trap::StandInOpen => {
            let scope = Scope::of(&[3, 0]).failures(1, 1);
            (scope.removals(1), NO_STALE_ANSWER)
        }
        Trap::IdsRepeated => (Scope::of(&[1, 0]).changes(1), NO_LATE_FILL),
        Trap::CutOffOpen => {
            let scope = Scope::of(&[2, 0]).removals(1);
            let scope = scope.faults(1, &[Fault::Disconnect]);
            (Scope { links: 2, ..scope }, NO_STALE_ANSWER)
        }
    }
}

fn is_a_trap(trap: Trap) {
    let (scope, guarantee) = trapped(trap);
    breaks(scope.with(trap), guarantee);
}

macro_rules! traps {
    ($($claim:ident: $trap:ident,)*) => {
        $(#[test]
        fn $claim() {
            is_a_trap(Trap::$trap);
        })*

        #[test]
        fn every_trap_has_its_claim() {
            assert_eq!([$(Trap::$trap),*], Trap::ALL);
        }
    };
}

traps! {
    counting_generations_resurrects_old_values: CountingGenerations,
    a_fill_without_a_token_lands_late: FillUnchecked,
    a_stamp_read_after_computing_makes_old_values_new: StampedAfterwards,
    an_entry_served_without_its_stamp_is_stale: StampIgnored,
    a_copy_kept_without_a_look_at_its_flight_stays_stale: KeptUnguarded,
    a_generation_kept_without_its_token_is_trusted_for_ever: FetchUnguarded,
    noloop_leaves_copies_that_no_push_will_reach: NoLoop,
    a_lease_that_nobody_renews_is_computed_twice: NeverRenewed,
    an_invalidation_must_reach_its_own_process: OwnCopiesForgotten,
    an_invalidation_must_reach_its_own_flights: OwnFlightsForgotten,
    a_reconnection_that_forgets_nothing_serves_old_copies: ReconnectedUnchanged,
    joining_what_was_invalidated_is_stale: InvalidatedJoined,
    a_leader_that_ignores_a_push_answers_its_joiners_with_the_old: TouchIgnored,
    releasing_without_a_token_frees_the_lease_of_another: ReleaseUnchecked,
    waiters_that_all_compute_are_one_too_many: AllSucceed,
    removing_the_entry_before_the_lease_lets_a_fill_in_between: EntryFirst,
    a_claim_without_a_second_look_computes_what_is_stored: LookedOnce,
    a_lease_that_its_holder_has_not_read_is_lost_in_silence: LeaseUnread,
    a_waiter_that_listens_too_late_is_never_woken: DeafUntilAsleep,
    between_a_push_and_its_check_a_flight_takes_joiners: LeaseAskedFirst,
    without_pushes_a_waiting_flight_outlives_its_generation: WaitingOpen,
    a_flight_cut_off_is_joined_through_another_connection: CutOffOpen,
    an_invalidation_that_reaches_one_release_leaves_the_others_entry: OwnVariantOnly,
    a_variant_announced_too_late_is_missed: AnnouncedLate,
    an_old_value_that_stands_in_after_a_push_is_stale: StandInUnchecked,
    an_old_value_that_stands_in_for_those_who_come_later_is_stale: StandInOpen,
    a_registry_that_only_one_has_restored_hides_the_others: RestorationTrusted,
    ids_that_a_fork_repeats_resurrect_old_values: IdsRepeated,
}

// Deeper scopes, which take minutes and one or two gigabytes of memory.

macro_rules! deeper {
    ($($claim:ident: $scope:expr,)*) => {
        $(#[test]
        #[ignore = "takes minutes"]
        fn $claim() {
            holds($scope, &[]);
        })*
    };
}

deeper! {
    deeper_call_and_function_are_invalidated: Scope::of(&[1, 1]).removals(1).changes(1),
    deeper_the_call_is_invalidated_twice: Scope::of(&[1, 1]).removals(2),
    deeper_the_function_is_invalidated: Scope::of(&[2, 1]).changes(1),
    deeper_the_lease_is_renewed: Scope::of(&[2, 1]).removals(1).renewals(1),
    deeper_call_and_function_are_invalidated_by_others: Scope::of(&[3, 0]).removals(1).changes(1),
    deeper_a_fault_comes_with_the_function: Scope::of(&[1, 1]).changes(1).faults(1, &Fault::ALL),
    deeper_two_faults_come_with_the_call: Scope::of(&[2, 0]).removals(1).faults(2, &Fault::ALL),
    deeper_two_connections: Scope { links: 2, ..Scope::of(&[2, 1]).removals(1) },
    deeper_two_releases: Scope::of(&[2, 1]).releases(&[0, 1]).removals(1),
    deeper_two_releases_with_faults:
        Scope::of(&[1, 1]).releases(&[0, 1]).removals(1).faults(1, &Fault::ALL),
    deeper_failures: Scope::of(&[3, 1]).failures(1, 1).removals(1),
    deeper_failures_with_faults:
        Scope::of(&[2, 1]).failures(1, 1).removals(1).faults(1, &Fault::ALL),
    deeper_the_finest_steps: Scope { fine: true, ..Scope::of(&[2, 1]).changes(1) },
    deeper_without_pushes: Scope {
        tracking: false,
        ..Scope::of(&[2, 1]).removals(1).faults(1, &Fault::ALL)
    },
}

#[test]
#[ignore = "takes minutes"]
fn without_its_trap_every_scope_holds() {
    for trap in Trap::ALL {
        holds(trapped(trap).0, &[]);
    }
}
