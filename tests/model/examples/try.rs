use recached_model::*;
use stateright::{Checker, HasDiscoveries, Model as _};
use std::time::Instant;
fn run(name: &str, scope: Scope, dfs: bool) {
    let begun = Instant::now();
    let b = Model { scope }.checker().finish_when(HasDiscoveries::AnyFailures).threads(1).timeout(std::time::Duration::from_secs(60));
    macro_rules! show { ($c:expr) => {{ let c = $c.join();
        print!("{name:40} states {:>9} unique {:>9} depth {:>3} {:>6.1?}s ", c.state_count(), c.unique_state_count(), c.max_depth(), begun.elapsed().as_secs_f32());
        let d = c.discoveries();
        let bad: Vec<_> = d.iter().filter(|(n,_)| n.starts_with('G')).collect();
        println!("{} events {}", if bad.is_empty() {"ok"} else {"BAD"}, d.len()-bad.len());
        for (n,p) in bad { println!("   {n}"); if std::env::args().any(|a| a=="-v") { 
           let v: Vec<_> = p.clone().into_actions(); for a in v { println!("      {a:?}"); } 
           if std::env::args().any(|a| a=="-s") {println!("{:#?}", p.last_state());} } }
    }}}
    if dfs { show!(b.spawn_dfs()) } else { show!(b.spawn_bfs()) }
}
fn main() {
    let only = std::env::args().skip(1).find(|a| !a.starts_with("-")).unwrap_or_default();
    let all: Vec<(&str, Scope)> = vec![
        ("t1", Scope::of(&[1,1]).changes(1).faults(1,&[Fault::EvictGeneration]).with(Trap::CountingGenerations)),
        ("t2", Scope::of(&[1,0]).removals(1).with(Trap::FillUnchecked)),
        ("t3", Scope::of(&[1,0]).changes(1).with(Trap::StampedAfterwards)),
        ("t4", Scope::of(&[1,1]).changes(1).with(Trap::StampIgnored)),
        ("t5", Scope::of(&[2,1]).removals(1).with(Trap::KeptUnguarded)),
        ("t6", Scope::of(&[2,1]).changes(1).with(Trap::FetchUnguarded)),
        ("t7", Scope::of(&[2,1]).removals(1).faults(1,&[Fault::EvictEntry]).with(Trap::NoLoop)),
        ("t8", Scope::of(&[1,1]).with(Trap::NeverRenewed)),
        ("t9", Scope::of(&[2]).removals(1).with(Trap::OwnCopiesForgotten)),
        ("t10", Scope::of(&[2]).removals(1).with(Trap::OwnFlightsForgotten)),
        ("t11", Scope::of(&[2,1]).removals(1).faults(1,&[Fault::Disconnect]).with(Trap::ReconnectedUnchanged)),
        ("t12", Scope::of(&[2,0]).changes(1).with(Trap::InvalidatedJoined)),
        ("t13", Scope::of(&[2,1]).removals(1).with(Trap::TouchIgnored)),
        ("t14", Scope::of(&[2,1]).faults(2,&[Fault::Lapse,Fault::Cancel]).with(Trap::ReleaseUnchecked)),
        ("t15", Scope::of(&[1,1,1]).faults(1,&[Fault::Crash]).with(Trap::AllSucceed)),
        ("t16", Scope::of(&[1,0]).removals(1).with(Trap::EntryFirst)),
        ("t17", Scope::of(&[1,1]).with(Trap::LookedOnce)),
        ("t18", Scope::of(&[2,0]).removals(1).with(Trap::LeaseUnread)),
        ("t19", Scope::of(&[1,1]).with(Trap::DeafUntilAsleep)),
        ("s1", Scope{strict: true, ..Scope::of(&[2,0]).removals(1)}),
        ("s2", Scope{tracking: false, ..Scope::of(&[2,1]).changes(1)}),
        ("s2r", Scope{tracking: false, ..Scope::of(&[2,1]).removals(1)}),
        ("s3", Scope{looks: 1, ..Scope::of(&[2,0]).changes(1).removals(1)}),
        ("s4", Scope{links: 2, ..Scope::of(&[2,0]).removals(1).faults(1,&[Fault::Disconnect])}),
        ("s5", Scope{links: 2, ..Scope::of(&[2,0]).removals(1)}),
        ("s6", Scope{impatience: 1, ..Scope::of(&[2,1]).removals(1)}),
        ("s7", Scope{fine: true, ..Scope::of(&[1,1]).removals(1)}),
        ("s8", Scope{fine: true, ..Scope::of(&[1,1]).changes(1)}),
        ("s9", Scope::of(&[2,0]).removals(1).faults(1,&Fault::ALL)),
        ("s10", Scope::of(&[2,0]).changes(1).faults(1,&Fault::ALL)),
        ("s11", Scope::of(&[3,0]).removals(1).changes(1)),
        ("s12", Scope::of(&[2,0]).removals(1).changes(1).renewals(1)),
        ("s13", Scope::of(&[1,1]).removals(1).renewals(1)),
        ("s14", Scope::of(&[1,1,1]).faults(1,&[Fault::Crash, Fault::Cancel])),
        ("s15", Scope::of(&[2,1]).faults(1,&[Fault::Crash, Fault::Cancel])),
        ("1,1", Scope::of(&[1,1])),
        ("1,1 r", Scope::of(&[1,1]).removals(1)),
        ("1,1 c", Scope::of(&[1,1]).changes(1)),
        ("1,1 rc", Scope::of(&[1,1]).removals(1).changes(1)),
        ("2,1 r", Scope::of(&[2,1]).removals(1)),
        ("2,1 c", Scope::of(&[2,1]).changes(1)),
        ("2,1 rr", Scope::of(&[2,1]).removals(2)),
        ("2,2 r", Scope::of(&[2,2]).removals(1)),
        ("1,1 r f1", Scope::of(&[1,1]).removals(1).faults(1,&Fault::ALL)),
        ("1,1 c f1", Scope::of(&[1,1]).changes(1).faults(1,&Fault::ALL)),
        ("1,1 renew r", Scope::of(&[1,1]).removals(1).renewals(1)),
        ("2,1 rc", Scope::of(&[2,1]).removals(1).changes(1)),
        ("2,1 r f1", Scope::of(&[2,1]).removals(1).faults(1,&Fault::ALL)),
    ];
    for (n, s) in all { if only.is_empty() || only.starts_with('-') || n==only { run(n, s, !std::env::args().any(|a| a=="-b")); } }
}
