package recipe

import (
	"path"
	"strings"
)

// skipDebian leaves out of an image manuals and translations, the tools of install
// scripts (Perl, dpkg's scripts), and traces of the machine that built it (its name, its
// resolver, its package sources).
// Licences (usr/share/doc/*/copyright) stay.
func skipDebian(name string) bool {
	if strings.HasPrefix(name, "usr/share/doc/") && strings.Count(name, "/") > 3 {
		return path.Base(name) != "copyright"
	}
	for _, prefix := range []string{
		"usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/perl", "usr/share/perl5",
		"usr/share/debconf", "usr/share/bug", "usr/bin/perl", "usr/bin/perl5.36.0", "etc/pam.d", "etc/security", "etc/apt", "etc/perl",
		"etc/resolv.conf", "etc/hostname", "etc/hosts", "etc/fstab", "etc/init.d", "etc/cron.daily",
		"var/lib/apt", "var/lib/dpkg/info", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend", "var/lib/dpkg/triggers", "var/cache", "var/log", "var/tmp", "boot", "root",
	} {
		if name == prefix {
			return true
		}
	}
	if dir, base := path.Split(name); base == "perl" || base == "perl-base" {
		return strings.HasSuffix(dir, "-linux-gnu/")
	}
	// The folders stay, since the container's engine mounts over them.
	dir, _, below := strings.Cut(name, "/")
	return below && (dir == "dev" || dir == "proc" || dir == "sys" || dir == "run" || dir == "tmp")
}
