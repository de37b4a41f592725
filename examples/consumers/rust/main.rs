// A hypervisor in Rust that has a dispatch of its own and takes only the tables of the C file: it finds the rule that
// decides an access and does what the rule says itself.
//
//     policyc compile examples/consumers/console.pol -o console.bundle
//     cc -std=c11 -ffreestanding -c console.bundle/exit_handler.c -o exit_handler.o
//     rustc --edition 2021 -C link-arg=exit_handler.o examples/consumers/rust/main.rs -o consumer
//
// No crates, and nothing of the handler's code is called. The structures are those of exit_handler.h, in its order.

use std::ffi::{c_char, c_void, CStr};

#[repr(C)]
struct Condition {
    mask: u64,
    operand: u64,
    op: u8,
    cpl: bool,
}

#[repr(C)]
struct Actions {
    value: u64,
    set: u64,
    msr: *const c_void,
    port: *const c_void,
    rate: u32,
    action: u8,
    vector: u8,
    before: [u8; 3],
}

#[repr(C)]
struct Rule {
    line: u32,
    file: u16,
    conditions: u16,
    condition: u32,
    actions: u32,
    slot: u32,
}

#[repr(C)]
struct Run {
    last: u32,
    link: u32,
}

#[repr(C)]
struct Table {
    runs: *const Run,
    pages: *const c_void,
    steps: *const c_void,
    last: u32,
}

#[repr(C)]
struct Class {
    columns: [Table; 8],
}

#[repr(C)]
struct Tables {
    rules: *const Rule,
    actions: *const Actions,
    conditions: *const Condition,
    links: *const u32,
    msr_cells: *const c_void,
    port_cells: *const c_void,
    msr_cell_count: u32,
    port_cell_count: u32,
    port_cell_word: u32,
    classes: *const Class,
    resets: *const c_void,
    msr_default: u32,
    outside: u32,
    past_last_port: u32,
}

// The tables are constant, so they may be read from any thread.
unsafe impl Sync for Tables {}

extern "C" {
    #[link_name = "console_base"]
    static BASE: Tables;
    #[link_name = "console_profile_running"]
    static RUNNING: Tables;
    #[link_name = "console_files"]
    static FILES: [*const c_char; 2];
}

// What forward(uart) names. The tables refer to it, so the linker wants it; this hypervisor calls its own devices.
#[no_mangle]
extern "C" fn uart(_context: *mut c_void, _access: *mut c_void) -> u32 {
    5
}

const ACTIONS: [&str; 10] = [
    "passthrough", "mask", "forward", "exit", "notify", "shadow", "const", "drop", "inject", "kill",
];
const WRMSR: usize = 1;
const IN1: usize = 2;
const OUT1: usize = 5;

struct Access {
    column: usize,
    address: u32,
    value: u64,
    cpl: u8,
}

fn holds(condition: &Condition, access: &Access) -> bool {
    let writes = access.column == WRMSR || access.column >= OUT1;
    if !condition.cpl && !writes {
        return false;
    }
    let subject = condition.mask & if condition.cpl { access.cpl.into() } else { access.value };
    match condition.op {
        0 => subject == condition.operand,
        1 => subject != condition.operand,
        2 => subject < condition.operand,
        3 => subject <= condition.operand,
        4 => subject > condition.operand,
        _ => subject >= condition.operand,
    }
}

impl Tables {
    /// The rule for an MSR, or for a port access of one byte, on vCPUs of class 0.
    fn decide(&self, access: &Access) -> &Rule {
        // SAFETY: the pointers and counts are those that policyc wrote into one object file.
        unsafe {
            let table = &(*self.classes).columns[access.column];
            let runs = std::slice::from_raw_parts(table.runs, table.last as usize + 1);
            let run = &runs[runs.partition_point(|run| run.last < access.address)];
            let mut link = run.link as usize;
            loop {
                let rule = &*self.rules.add(*self.links.add(link) as usize);
                let conditions = self.conditions.add(rule.condition as usize);
                if (0..rule.conditions as usize).all(|each| holds(&*conditions.add(each), access)) {
                    return rule;
                }
                link += 1;
            }
        }
    }

    fn describe(&self, access: &Access) -> String {
        let rule = self.decide(access);
        // SAFETY: as above.
        let (actions, file) = unsafe {
            (&*self.actions.add(rule.actions as usize), CStr::from_ptr(FILES[rule.file as usize]))
        };
        let action = ACTIONS[actions.action as usize];
        match rule.line {
            0 => format!("{action} (default)"),
            line => format!("{action} ({}:{line})", file.to_string_lossy()),
        }
    }
}

fn main() {
    // SAFETY: constants of the object file.
    let (base, running) = unsafe { (&BASE, &RUNNING) };
    let accesses = [
        ("out 0x3f8", Access { column: OUT1, address: 0x3f8, value: 0x41, cpl: 0 }),
        ("in 0x64", Access { column: IN1, address: 0x64, value: 0, cpl: 3 }),
        ("out 0x64", Access { column: OUT1, address: 0x64, value: 0xfe, cpl: 3 }),
        ("wrmsr 0x1b", Access { column: WRMSR, address: 0x1b, value: 0, cpl: 0 }),
        ("wrmsr 0xc0000080", Access { column: WRMSR, address: 0xc0000080, value: 0x501, cpl: 0 }),
        ("out 0xcf8", Access { column: OUT1, address: 0xcf8, value: 0, cpl: 0 }),
    ];
    for (name, access) in &accesses {
        println!("{name}: {}, running: {}", base.describe(access), running.describe(access));
    }
}
