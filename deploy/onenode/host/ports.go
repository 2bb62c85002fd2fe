package host

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const listening = "0A" // TCP_LISTEN in /proc/net/tcp

// Holder returns who listens on a TCP port of this machine, as "name (pid 12)", or "" if nobody does.
func Holder(port int) string {
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // no IPv6
		}
		if inode := listenerOn(string(content), port); inode != "" {
			return owner(inode)
		}
	}
	return ""
}

// listenerOn finds the socket inode of a listener in the text of /proc/net/tcp (proc_net(5)).
func listenerOn(table string, port int) string {
	for lines := bufio.NewScanner(strings.NewReader(table)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		_, hexPort, _ := strings.Cut(fields[1], ":")
		raw, err := hex.DecodeString(hexPort)
		if err == nil && len(raw) == 2 && int(raw[0])<<8|int(raw[1]) == port {
			return fields[9]
		}
	}
	return ""
}

func owner(inode string) string {
	wanted := "socket:[" + inode + "]"
	folders, err := filepath.Glob("/proc/[0-9]*/fd")
	if err != nil {
		return "a program"
	}
	for _, folder := range folders {
		links, err := os.ReadDir(folder)
		if err != nil {
			continue // it ended meanwhile
		}
		for _, link := range links {
			if target, err := os.Readlink(filepath.Join(folder, link.Name())); err == nil && target == wanted {
				return describe(filepath.Dir(folder))
			}
		}
	}
	return "a program"
}

func describe(folder string) string {
	name, err := os.ReadFile(filepath.Join(folder, "comm"))
	if err != nil {
		return "a program"
	}
	pid, err := strconv.Atoi(filepath.Base(folder))
	if err != nil {
		return "a program"
	}
	return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid)
}
