package embedded

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Bounds of the server's buffers, in MiB. PostgreSQL's manual (section 20.4.1) suggests a quarter of the memory of a machine that is the
// database's alone; here the gateway, and somebody's editor, live on it too.
const (
	leastBuffers = 128
	mostBuffers  = 4096
	bufferShare  = 8 // one part in so many
)

// sharedBuffers is an eighth of the memory within the bounds; the least where the machine does not tell.
func sharedBuffers() string {
	return fmt.Sprintf("%dMB", min(max(memory()/bufferShare, leastBuffers), mostBuffers))
}

// memory is the machine's memory, or what a container may have of it (cgroup v2), in MiB; 0 where neither is told.
func memory() int {
	limit, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if bytes, notNumber := strconv.Atoi(strings.TrimSpace(string(limit))); err == nil && notNumber == nil {
		return min(bytes>>20, machine())
	}
	return machine()
}

// machine is the machine's memory in MiB, or 0 where /proc/meminfo does not tell.
func machine() int {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == "MemTotal:" {
			kibibytes, _ := strconv.Atoi(words[1])
			return kibibytes / 1024
		}
	}
	return 0
}

// keepMemory has glibc's malloc keep what a query gives back (mallopt(3), for the server and its sessions; other C libraries ignore it).
// By default it returns what lies free beyond 128 kB to the kernel, and takes it again, page by page, for the next query: on a virtual
// machine that was now and then half of what a read cost.
var keepMemory = []string{"MALLOC_TRIM_THRESHOLD_=67108864", "MALLOC_TOP_PAD_=1048576"}
