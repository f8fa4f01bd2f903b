# SPDX-License-Identifier: GPL-2.0-only
"""Network namespaces that come and go are nothing to the manifests of others."""

from cases import GRANTED, ManifestCase, lock
from testbed import S1

CLIENTS = ("c1",)
OTHER = "other"
NFSD = f"/var/tmp/{OTHER}"
# More units than are remembered one by one of a namespace.
MANY = 260
FENCE = 40
NONE = "reclaimed=0 refused=0 waits=0"
# It is about the module, whatever the kernel.
ONE_KERNEL = True


class Namespaces(ManifestCase):
    def take(self):
        """A manifest of S1 from a, some time later."""
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)))
        self.release_only("locks=1 blocked=0 shares=0 files=1", fence=FENCE)
        manifest = self.manifest("a")
        # Clocks of VMs are up to a second apart.
        self.cluster["b"].run("sleep 2")
        return manifest

    def believed(self, manifest):
        """b, as it is without other namespaces, takes the manifest for S1."""
        self.recover("b")
        self.taken("b", 1)
        self.assertEqual(self.offer("b", manifest), "")
        self.cluster.end_recovery("b", S1)
        self.log_expect("b", rf"fsid=1234: recovery over, ended by hand: {NONE} .*")
        self.give_up("a")

    def other(self):
        """Another network namespace on b, with an nfsd filesystem."""
        node = self.cluster["b"]
        self.addCleanup(node.run, f"umount {NFSD}; ip netns del {OTHER}; true")
        node.run(f"ip netns add {OTHER} && mkdir -p {NFSD} && "
                 f"nsenter --net=/run/netns/{OTHER} mount -t nfsd nfsd {NFSD}")
        inode = node.run(f"stat -Lc %i /run/netns/{OTHER}")
        return rf" in net:\[{inode}\]"

    def refused_by_other(self, manifest, where, fsid):
        """The other namespace recovers a unit, and takes no manifest for it that is older."""
        node = self.cluster["b"]
        text = manifest.replace("fsid=1234", f"fsid={fsid}").replace("d2040000", "99990000")
        node.run(f"echo {fsid} 60 > {NFSD}/nlm_set_igrace")
        said = node.exec(f"cat > {NFSD}/lock_manifest", input=text.encode())
        self.assertIn("Stale file handle", said.err.decode())
        node.run(f"echo {fsid} 0 > {NFSD}/nlm_set_igrace")
        self.log_expect("b", rf"fsid={fsid}{where}: recovering for 60 s",
                        rf"fsid={fsid}{where}: recovery over, ended by hand: {NONE}")

    def test_none(self):
        """For comparison: nothing comes or goes, the manifest is taken."""
        self.believed(self.take())

    def test_ended(self):
        """Namespaces of root and of somebody without privileges have ended: it is taken."""
        manifest = self.take()
        # They go some time after their last process.
        self.cluster["b"].run(
            "unshare -n true; setpriv --reuid 65534 --regid 65534 --clear-groups "
            "unshare -rn true; sleep 3")
        self.believed(manifest)

    def test_began(self):
        """A namespace that is younger than a manifest does not take it; the others do."""
        manifest = self.take()
        where = self.other()
        self.refused_by_other(manifest, where, 0x9999)
        self.believed(manifest)

    def test_many(self):
        """What a namespace with many units forgets is its own."""
        where = self.other()
        manifest = self.take()
        self.cluster["b"].run(
            f"for fsid in $(seq {MANY}); do echo $fsid 60 > {NFSD}/nlm_set_igrace && "
            f"echo $fsid 0 > {NFSD}/nlm_set_igrace || exit; done", timeout=90)
        for fsid in range(1, MANY + 1):
            self.log_expect("b", rf"fsid={fsid}{where}: recovering for 60 s",
                            rf"fsid={fsid}{where}: recovery over, ended by hand: {NONE}")
        self.refused_by_other(manifest, where, 0x9999)
        self.believed(manifest)
