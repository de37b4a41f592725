/* Types that all bundles share; the number is their version. */
#ifndef POLICYC_TYPES
#define POLICYC_TYPES 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Elements of one INS or OUTS moved at most by one exit. */
#define POLICYC_STRING_LIMIT 64u

/* What became of an exit, and what a hook or a handler answers. */
enum policyc_status {
	POLICYC_DONE,		/* done; RIP has moved past the instruction */
	POLICYC_AGAIN,		/* some elements are done: resume the guest */
	POLICYC_FAULT,		/* an exception is injected; RIP stays */
	POLICYC_PENDING,	/* nothing is decided: call again later */
	POLICYC_KILL,		/* stop the virtual machine */
	POLICYC_REFUSED		/* no exit of this handler, or malformed */
};

enum policyc_kind {
	POLICYC_RDMSR,
	POLICYC_WRMSR,
	POLICYC_IN,
	POLICYC_OUT
};

/* An exception for the guest. */
struct policyc_fault {
	uint64_t address;	/* CR2, where the vector is 14 */
	uint32_t error_code;
	uint8_t vector;
	bool has_error_code;
};

/*
 * One access, and the rule that decided it. Whoever answers POLICYC_FAULT may
 * change the fault, which is #GP(0) beforehand.
 */
struct policyc_access {
	uint64_t value;		/* what is written, or the answer to a read */
	uint32_t address;	/* MSR index, or first port */
	uint32_t line;		/* of the rule; 0 where none was written */
	uint16_t file;		/* index into the policy's list of files */
	uint8_t kind;		/* enum policyc_kind */
	uint8_t width;		/* bytes: 1, 2, 4, and 8 for an MSR */
	uint8_t cpl;		/* 0..3 */
	struct policyc_fault fault;
};

/* One MSR access, as handlers see it. */
struct policyc_msr {
	uint64_t value;
	uint32_t index;
	uint8_t cpl;
	bool write;
	struct policyc_fault fault;
};

/* One port access, as handlers see it; value is cut to width bytes. */
struct policyc_port {
	uint32_t value;
	uint16_t port;
	uint8_t width;
	uint8_t cpl;
	bool write;
	struct policyc_fault fault;
};

typedef enum policyc_status policyc_msr_handler(void *context,
						struct policyc_msr *access);
typedef enum policyc_status policyc_port_handler(void *context,
						 struct policyc_port *access);

enum policyc_memory {
	POLICYC_MEMORY_READ,	/* of OUTS */
	POLICYC_MEMORY_PROBE,	/* of INS: may this be written? */
	POLICYC_MEMORY_WRITE	/* of INS, after the probe said yes */
};

/* The memory operand of INS or OUTS. */
struct policyc_operand {
	uint64_t offset;	/* effective address, cut to address_bytes */
	uint32_t value;		/* read, or to be written */
	uint8_t operation;	/* enum policyc_memory */
	uint8_t segment;	/* ES, CS, SS, DS, FS, GS are 0..5 */
	uint8_t width;		/* 1, 2 or 4 */
	uint8_t address_bytes;	/* 2, 4 or 8 */
	uint8_t cpl;
	struct policyc_fault fault;
};

/*
 * What the hypervisor supplies. Every hook gets the context that the vCPU was
 * set up with. A hook that the policy cannot reach may be NULL: the set-up
 * function checks.
 */
struct policyc_hooks {
	/* Action exit: DONE (a read's value set), FAULT, PENDING, KILL. */
	enum policyc_status (*exit)(void *context,
				    struct policyc_access *access);
	/* Action notify: as exit, answered by user space. */
	enum policyc_status (*notify)(void *context,
				      struct policyc_access *access);
	/* Action kill; POLICYC_KILL is returned whatever this does. */
	void (*kill)(void *context, const struct policyc_access *access);
	/* Actions log, trace; before the access is carried out. */
	void (*log)(void *context, const struct policyc_access *access,
		    uint32_t suppressed);
	void (*trace)(void *context, const struct policyc_access *access);
	/* Seconds of a clock that never goes back, for log(rate). */
	uint64_t (*seconds)(void *context);
	/* The access itself, on the real hardware: DONE or FAULT. */
	policyc_msr_handler *msr;
	policyc_port_handler *port;
	/* Guest memory for INS and OUTS: DONE, FAULT, PENDING. */
	enum policyc_status (*memory)(void *context,
				      struct policyc_operand *operand);
	/* Queue an exception for the guest. */
	void (*inject)(void *context, const struct policyc_fault *fault);
};

/* A handler made known at run time; exactly one of msr and port is set. */
struct policyc_registration {
	uint32_t first;		/* MSR index or port */
	uint32_t last;		/* inclusive */
	policyc_msr_handler *msr;
	policyc_port_handler *port;
	void *context;
};

/* The caller's array of registrations; start with used = 0. */
struct policyc_registry {
	struct policyc_registration *slots;
	uint32_t capacity;
	uint32_t used;
};

/* One vCPU: what the hypervisor gave, and which class it belongs to. */
struct policyc_vcpu {
	const struct policyc_hooks *hooks;
	void *context;
	const struct policyc_registry *registry;	/* may be NULL */
	uint32_t vcpu_class;
};

/* The guest's registers: filled before an exit is handled, loaded after. */
struct policyc_guest {
	uint64_t rax;
	uint64_t rcx;
	uint64_t rdx;
	uint64_t rsi;
	uint64_t rdi;
	uint64_t rip;
	uint64_t rflags;	/* only read */
	uint8_t cpl;		/* only read: 0..3 */
	bool long_mode;		/* only read: CS.L, else RIP has 32 bits */
};

/* VMCS fields after an exit. */
struct policyc_vmx_exit {
	uint64_t qualification;
	uint32_t reason;
	uint32_t instruction_length;
	uint32_t instruction_info;	/* read for INS and OUTS only */
};

/* VMCB fields after an exit. */
struct policyc_svm_exit {
	uint64_t exit_code;
	uint64_t info1;
	uint64_t info2;
	uint64_t next_rip;		/* 0 where nRIP is not saved */
};

/* struct kvm_run.io; data: count * size bytes, little endian. */
struct policyc_kvm_io {
	uint8_t *data;
	uint32_t count;
	uint32_t done;			/* elements; 0 at first */
	uint16_t port;
	uint8_t direction;
	uint8_t size;
	uint8_t cpl;
};

/* struct kvm_run.msr; error and data are for KVM to read. */
struct policyc_kvm_msr {
	uint64_t data;
	uint32_t index;
	uint8_t error;
	uint8_t cpl;
	bool write;
};

/*
 * The tables. Their text is in the bundle's C file; a hypervisor with a
 * dispatch of its own can walk them as that file does.
 */

/* From the most open to the strictest: the strictest byte decides. */
enum policyc_action {
	POLICYC_ACT_PASSTHROUGH,
	POLICYC_ACT_MASK,
	POLICYC_ACT_FORWARD,
	POLICYC_ACT_EXIT,
	POLICYC_ACT_NOTIFY,
	POLICYC_ACT_SHADOW,
	POLICYC_ACT_CONST,
	POLICYC_ACT_DROP,
	POLICYC_ACT_INJECT,
	POLICYC_ACT_KILL
};

/* Done before the last action, in the order written; 0 ends. */
enum policyc_before {
	POLICYC_BEFORE_LOG = 1,
	POLICYC_BEFORE_COUNT,
	POLICYC_BEFORE_TRACE
};

/* (subject & mask) op operand, unsigned. */
enum policyc_comparison {
	POLICYC_EQ,
	POLICYC_NE,
	POLICYC_LT,
	POLICYC_LE,
	POLICYC_GT,
	POLICYC_GE
};

struct policyc_condition {
	uint64_t mask;
	uint64_t operand;
	uint8_t op;		/* enum policyc_comparison */
	bool cpl;		/* the subject; else the value written */
};

struct policyc_actions {
	uint64_t value;		/* const: the value; mask: bits kept */
	uint64_t set;		/* mask: bits set */
	policyc_msr_handler *msr;	/* forward */
	policyc_port_handler *port;	/* forward */
	uint32_t rate;		/* log: events a second; 0: all */
	uint8_t action;		/* enum policyc_action */
	uint8_t vector;		/* inject */
	uint8_t before[3];	/* enum policyc_before */
};

/* words of the vCPU's state from slot: a counter, two for log's rate. */
struct policyc_rule {
	uint32_t line;		/* 0: a default that nobody wrote */
	uint16_t file;
	uint16_t conditions;
	uint32_t condition;	/* the first one */
	uint32_t actions;
	uint32_t slot;
};

/*
 * Addresses from the one after the previous run's last. link: the first of
 * the rules to be asked; the first whose conditions hold decides.
 */
struct policyc_run {
	uint32_t last;
	uint32_t link;
};

/* What a step says beside the run: the action, unless the rules are asked. */
#define POLICYC_STEP_ACTION 0x0fu	/* enum policyc_action */
#define POLICYC_STEP_REPORTS 0x40u	/* there are actions before it */
#define POLICYC_STEP_ASKS 0x80u		/* the run's rules are to be asked */

/* One address: how many runs it is past its page's first one's. */
struct policyc_step {
	uint8_t run;
	uint8_t kind;
};

/* 256 addresses. */
struct policyc_page {
	uint32_t run;		/* of the page's first address */
	uint32_t steps;		/* its steps begin here; pages may share */
};

/*
 * Runs in order, without gap. pages: of all ports, or of the MSRs of the three
 * windows one behind the other.
 */
struct policyc_table {
	const struct policyc_run *runs;
	const struct policyc_page *pages;
	const struct policyc_step *steps;
	uint32_t last;		/* the last run's number */
};

/* Shadow cells of first..last, from cell: MSRs have words, ports bytes. */
struct policyc_cells {
	uint32_t first;
	uint32_t last;
	uint32_t cell;
};

/* Cells from..to (inclusive) are reset to value, repeated every unit bytes. */
struct policyc_reset {
	uint64_t value;
	uint32_t from;
	uint32_t to;
	uint8_t unit;		/* 8: MSR cells; 1, 2, 4: port cells */
};

/* vCPUs from the one after the previous row's last to this one's. */
struct policyc_vcpus {
	uint32_t last;
	uint32_t vcpu_class;
};

/* Columns: RDMSR, WRMSR, IN of 1, 2, 4 bytes, OUT of 1, 2, 4 bytes. */
#define POLICYC_COLUMNS 8

/* What a class of vCPUs may do. */
struct policyc_class {
	struct policyc_table columns[POLICYC_COLUMNS];
};

/* What a reset of a vCPU's shadow cells gives, by its class. */
struct policyc_resets {
	const struct policyc_reset *resets;
	uint32_t count;
};

struct policyc_tables {
	const struct policyc_rule *rules;
	const struct policyc_actions *actions;
	const struct policyc_condition *conditions;
	const uint32_t *links;
	const struct policyc_cells *msr_cells;
	const struct policyc_cells *port_cells;
	uint32_t msr_cell_count;
	uint32_t port_cell_count;
	uint32_t port_cell_word;	/* where port cells begin */
	const struct policyc_class *classes;	/* by vCPU class */
	const struct policyc_resets *resets;	/* by vCPU class */
	uint32_t msr_default;		/* rule for MSRs without one */
	uint32_t outside;		/* rule for those that have no bit */
	uint32_t past_last_port;
};

#elif POLICYC_TYPES != 1
#error "bundles of two policyc versions, whose types differ, in one file"
#endif
