"""Made by policyc.emitters.generate from templates/exit_handler/. Do not edit: change a template, rerun."""

# fmt: off
# ruff: noqa
# mypy: ignore-errors

from policyc.emitters.instant import Undefined, environment, missing

DIGESTS = {
    'exit_handler.c.jinja': 'e0fce87e85f9f85cc8689c0b091a13a34e32d8666023476c7469d225004aa44c',
    'exit_handler.h.jinja': 'b7d2dac8b6939412358a0cff1ebf609f126d7f7edbe0470366703ddb00026868',
}


def exit_handler_c(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_h = resolve('h')
    l_0_code = resolve('code')
    l_0_arrays = resolve('arrays')
    pass
    yield '/* SPDX-License-Identifier: Apache-2.0 */\n/*\n * Exit handler of the policy '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'title'))
    yield '.\n * Made by policyc; do not edit.\n * The code is the same in every bundle; the tables at the end are the policy.\n */\n#include "exit_handler.h"\n\n'
    yield str((undefined(name='code') if l_0_code is missing else l_0_code))
    yield '\n/*\n * The policy.\n */\n\nconst char *const\n'
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_files['
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'upper'))
    yield '_FILES] = {\n'
    for l_1_each in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'files'):
        _loop_vars = {}
        pass
        yield '\t'
        yield str(l_1_each)
        yield ',\n'
    l_1_each = missing
    yield '};\n'
    for l_1_array in (undefined(name='arrays') if l_0_arrays is missing else l_0_arrays):
        _loop_vars = {}
        pass
        yield '\n'
        for l_2_line in environment.getattr(l_1_array, 'comment'):
            _loop_vars = {}
            pass
            yield str(l_2_line)
            yield '\n'
        l_2_line = missing
        yield 'static const '
        yield str(environment.getattr(l_1_array, 'type'))
        yield '\n'
        yield str(environment.getattr(l_1_array, 'name'))
        yield '[] = {\n'
        for l_2_line in environment.getattr(l_1_array, 'lines'):
            _loop_vars = {}
            pass
            yield str(l_2_line)
            yield '\n'
        l_2_line = missing
        yield '};\n'
    l_1_array = missing
    for l_1_profile in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'profiles'):
        _loop_vars = {}
        pass
        yield '\nconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile\n'
        yield str(environment.getattr(l_1_profile, 'name'))
        yield ' = {\n\t{\n\t\t'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_rules,\n\t\t'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_actions,\n\t\t'
        yield str(environment.getattr(l_1_profile, 'conditions'))
        yield ',\n\t\t'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_links,\n\t\t'
        yield str(environment.getattr(l_1_profile, 'msr_cells'))
        yield ',\n\t\t'
        yield str(environment.getattr(l_1_profile, 'port_cells'))
        yield ',\n\t\t'
        yield str(environment.getattr(l_1_profile, 'msr_cell_count'))
        yield ',\t/* ranges of shadowed MSRs */\n\t\t'
        yield str(environment.getattr(l_1_profile, 'port_cell_count'))
        yield ',\t/* and of shadowed ports */\n\t\t'
        yield str(environment.getattr(l_1_profile, 'port_word'))
        yield ",\t/* where the ports' cells begin */\n\t\t"
        yield str(environment.getattr(l_1_profile, 'classes'))
        yield ',\n\t\t'
        yield str(environment.getattr(l_1_profile, 'resets'))
        yield ',\n\t\t'
        yield str(environment.getattr(l_1_profile, 'msr_default'))
        yield ',\t/* rule: default msr */\n\t\t'
        yield str(environment.getattr(l_1_profile, 'outside'))
        yield ',\t/* rule: default msr outside */\n\t\t'
        yield str(environment.getattr(l_1_profile, 'past_last_port'))
        yield '\t/* rule: past port 0xffff */\n\t}\n};\n'
    l_1_profile = missing
    yield '\n/*\n * What the header declares.\n */\n\nbool '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_init(struct '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_vcpu *vcpu,\n\tuint32_t number, const struct policyc_hooks *hooks, void *context)\n{\n\tsize_t i;\n\n'
    for l_1_name in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'hooks'):
        _loop_vars = {}
        pass
        yield '\tif (hooks->'
        yield str(l_1_name)
        yield ' == NULL)\n\t\treturn false;\n'
    l_1_name = missing
    yield '\tvcpu->vcpu.hooks = hooks;\n\tvcpu->vcpu.context = context;\n\tvcpu->vcpu.registry = NULL;\n\tvcpu->vcpu.vcpu_class =\n\t\tfind_class('
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_vcpus, number);\n\tfor (i = 0; i < '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'upper'))
    yield '_STATE_WORDS; i++)\n\t\tvcpu->state[i] = 0;\n\treturn true;\n}\n\nvoid '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_reset(struct '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_vcpu *vcpu,\n\tconst struct '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_profile *profile)\n{\n\tconst struct policyc_frame frame =\n\t\tframe_of(&vcpu->vcpu, &profile->tables, vcpu->state,\n\t\t\t POLICYC_NO_BITMAP);\n\n\treset_shadows(&frame);\n}\n\nbool '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_register(struct policyc_registry *registry,\n\tconst struct policyc_registration *entry)\n{\n\treturn registry_add(registry, entry);\n}\n\nbool '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_unregister(struct policyc_registry *registry,\n\tconst struct policyc_registration *entry)\n{\n\treturn registry_remove(registry, entry);\n}\n'
    if ('vmx' in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'targets')):
        pass
        yield '\nenum policyc_status\n'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vmx_exit(struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vcpu *vcpu,\n\tconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile *profile,\n\tstruct policyc_guest *guest,\n\tconst struct policyc_vmx_exit *exit)\n{\n\tconst struct policyc_frame frame =\n\t\tframe_of(&vcpu->vcpu, &profile->tables, vcpu->state,\n\t\t\t POLICYC_VMX_WINDOWS);\n\n\treturn vmx_exit(&frame, guest, exit);\n}\n'
    if ('svm' in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'targets')):
        pass
        yield '\nenum policyc_status\n'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_svm_exit(struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vcpu *vcpu,\n\tconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile *profile,\n\tstruct policyc_guest *guest,\n\tconst struct policyc_svm_exit *exit)\n{\n\tconst struct policyc_frame frame =\n\t\tframe_of(&vcpu->vcpu, &profile->tables, vcpu->state,\n\t\t\t POLICYC_SVM_WINDOWS);\n\n\treturn svm_exit(&frame, guest, exit);\n}\n'
    if ('kvm' in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'targets')):
        pass
        yield '\nenum policyc_status\n'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_kvm_io(struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vcpu *vcpu,\n\tconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile *profile,\n\tstruct policyc_kvm_io *io)\n{\n\tconst struct policyc_frame frame =\n\t\tframe_of(&vcpu->vcpu, &profile->tables, vcpu->state,\n\t\t\t POLICYC_NO_BITMAP);\n\n\treturn kvm_io(&frame, io);\n}\n\nenum policyc_status\n'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_kvm_msr(struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vcpu *vcpu,\n\tconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile *profile,\n\tstruct policyc_kvm_msr *msr)\n{\n\tconst struct policyc_frame frame =\n\t\tframe_of(&vcpu->vcpu, &profile->tables, vcpu->state,\n\t\t\t POLICYC_NO_BITMAP);\n\n\treturn kvm_msr(&frame, msr);\n}\n'


def exit_handler_h(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_h = resolve('h')
    l_0_types = resolve('types')
    pass
    yield '/* SPDX-License-Identifier: Apache-2.0 */\n/*\n * Exit handler of the policy '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'title'))
    yield '.\n * Made by policyc; do not edit.\n * docs/handler.md of policyc explains it at length.\n *\n * What the hypervisor must do\n'
    for l_1_line in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'obligations'):
        _loop_vars = {}
        pass
        yield str(l_1_line)
        yield '\n'
    l_1_line = missing
    yield ' *\n * How it is used\n *\n'
    for l_1_line in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'example'):
        _loop_vars = {}
        pass
        yield str(l_1_line)
        yield '\n'
    l_1_line = missing
    yield ' */\n#ifndef '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'guard'))
    yield '\n#define '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'guard'))
    yield '\n\n'
    yield str((undefined(name='types') if l_0_types is missing else l_0_types))
    yield '\n#ifdef __cplusplus\nextern "C" {\n#endif\n\n/*\n * The words that a vCPU remembers: plain data, to be copied to save or to\n * migrate it.\n'
    for l_1_line in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'words'):
        _loop_vars = {}
        pass
        yield str(l_1_line)
        yield '\n'
    l_1_line = missing
    yield ' */\n#define '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'upper'))
    yield '_STATE_WORDS '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'state_words'))
    yield 'u\n'
    if environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'counters'):
        pass
        yield '\n/* Counters: words of the state. */\n'
        for l_1_each in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'counters'):
            _loop_vars = {}
            pass
            yield '#define '
            yield str(environment.getattr(l_1_each, 'name'))
            yield ' '
            yield str(environment.getattr(l_1_each, 'word'))
            yield 'u\n'
        l_1_each = missing
    yield '\nstruct '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_vcpu {\n\tstruct policyc_vcpu vcpu;\n\tuint64_t state['
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'upper'))
    yield '_STATE_WORDS];\n};\n\n/* A profile: one pointer to it decides which rules are in force. */\nstruct '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_profile {\n\tstruct policyc_tables tables;\n};\n\n'
    for l_1_each in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'profiles'):
        _loop_vars = {}
        pass
        yield 'extern const struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile\n'
        yield str(environment.getattr(l_1_each, 'name'))
        yield ';\n'
    l_1_each = missing
    yield "\n/* The policy's files, by number; access->file and access->line name a rule. */\n#define "
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'upper'))
    yield '_FILES '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'file_count'))
    yield 'u\nextern const char *const\n'
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_files['
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'upper'))
    yield '_FILES];\n'
    if environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'handlers'):
        pass
        yield '\n/* What forward(...) calls: to be written by the hypervisor. */\n'
        for l_1_each in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'handlers'):
            _loop_vars = {}
            pass
            yield 'enum policyc_status '
            yield str(environment.getattr(l_1_each, 'name'))
            yield '(void *context,\n\t\tstruct policyc_'
            yield str(environment.getattr(l_1_each, 'space'))
            yield ' *access);\n'
        l_1_each = missing
    yield "\n/*\n * Sets up a vCPU; false where a hook that the policy needs is NULL. number is\n * the vCPU's, as the policy counts them. All it remembers is zero afterwards:\n * follow it with a reset.\n */\nbool "
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_init(struct '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_vcpu *vcpu,\n\tuint32_t number, const struct policyc_hooks *hooks, void *context);\n\n/* Gives shadowed registers the values of a reset; nothing is pending then. */\nvoid '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_reset(struct '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_vcpu *vcpu,\n\tconst struct '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_profile *profile);\n\n/*\n * Adds a handler for accesses that the policy leaves to the default hook;\n * false where it is malformed, overlaps another or finds no room. The caller\n * sees to it that no vCPU handles an exit meanwhile.\n */\nbool '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_register(struct policyc_registry *registry,\n\tconst struct policyc_registration *entry);\n\n/* Takes out the handler of that kind that begins at entry->first. */\nbool '
    yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
    yield '_unregister(struct policyc_registry *registry,\n\tconst struct policyc_registration *entry);\n'
    if ('vmx' in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'targets')):
        pass
        yield '\n/* Exit reasons 30 (I/O instruction), 31 (RDMSR) and 32 (WRMSR). */\nenum policyc_status\n'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vmx_exit(struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vcpu *vcpu,\n\tconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile *profile,\n\tstruct policyc_guest *guest,\n\tconst struct policyc_vmx_exit *exit);\n'
    if ('svm' in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'targets')):
        pass
        yield '\n/* Exit codes 0x7b (VMEXIT_IOIO) and 0x7c (VMEXIT_MSR). */\nenum policyc_status\n'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_svm_exit(struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vcpu *vcpu,\n\tconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile *profile,\n\tstruct policyc_guest *guest,\n\tconst struct policyc_svm_exit *exit);\n'
    if ('kvm' in environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'targets')):
        pass
        yield '\n/* KVM_EXIT_IO. */\nenum policyc_status\n'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_kvm_io(struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vcpu *vcpu,\n\tconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile *profile,\n\tstruct policyc_kvm_io *io);\n\n/* KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR. */\nenum policyc_status\n'
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_kvm_msr(struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_vcpu *vcpu,\n\tconst struct '
        yield str(environment.getattr((undefined(name='h') if l_0_h is missing else l_0_h), 'prefix'))
        yield '_profile *profile,\n\tstruct policyc_kvm_msr *msr);\n'
    yield '\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n'
