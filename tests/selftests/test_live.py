# SPDX-License-Identifier: GPL-2.0-only
"""Hooks that are not called are never said to be live, however many ask at the same time."""

from cases import GRANTED, ManifestCase, lock
from testbed import S1

SERVERS = ("a",)
CLIENTS = ("c1",)
# Who asks must be able to do so in the middle of another's question.
CPUS = 2
READERS = 4


class Live(ManifestCase):
    def ftrace_off(self):
        off = "sysctl -q -w kernel.ftrace_enabled=0"
        on = "sysctl -q -w kernel.ftrace_enabled=1"
        if self.cluster["a"].exec(off).status:
            self.skipTest("this kernel does not let ftrace be switched off")
        self.addCleanup(self.cluster["a"].exec, on)

    def ask(self, *words):
        program = self.cluster.spawn("a", "ask_live.py", *words)
        answers = program.summary(300)
        self.assertEqual(program.errors(), "", answers)
        return answers

    def test_dead(self):
        """Several who ask are told that hooks are dead, and so is one."""
        self.assertEqual(self.cluster["a"].run("nproc"), str(CPUS))
        self.ftrace_off()
        for readers, seconds in (1, 5), (READERS, 15):
            answers = self.ask(readers, seconds)
            self.assertEqual(answers["live"], 0, answers)
            self.assertGreater(answers["dead"], 0, answers)

    def test_alive(self):
        """Several who ask, more than there is room for at once, are told that hooks live."""
        answers = self.ask(24, 8)
        self.assertEqual(answers["dead"], 0, answers)
        self.assertGreater(answers["live"], 0, answers)

    def test_release(self):
        """Nothing is released, and nothing called complete, while hooks are dead."""
        self.cluster.serve("a", S1)
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)))
        self.ftrace_off()
        answers = self.ask(READERS, 20, S1.fsid)
        self.assertEqual(answers["replies"], {}, answers)
        self.assertGreater(answers["tries"], 0, answers)
        self.assertEqual([how for _, how in self.cluster.locks("a", S1)], ["held"])
