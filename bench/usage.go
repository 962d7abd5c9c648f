package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is CPU time in seconds, as Linux counts it: since the start of each, or between two moments.
type usage struct {
	known    bool // false where the kernel does not tell
	at       time.Time
	elapsed  float64 // seconds of the clock; only between two moments
	client   float64 // who sends the load: this process, or pgbench
	gateway  float64
	postgres float64 // the postmaster and all its children, also those that have ended
	machine  float64 // everybody, without time that belongs to nobody, as interrupts do
	stolen   float64 // taken by the host for other machines
	waitIO   float64 // time in which somebody waited for the disk
}

// ticks is the kernel's USER_HZ, 100 on all that Go runs on.
const ticks = 100

// usage reads the counters of this moment.
func (b *bench) usage() usage {
	u := usage{at: time.Now()}
	self, ok := processTime(os.Getpid())
	if !ok {
		return u
	}
	u.known, u.client = true, self.own
	for _, g := range []*gateway{b.gateway, b.second} {
		if g != nil {
			p, _ := processTime(g.Process.Pid) // nothing, where it has ended
			u.gateway += p.own
		}
	}
	if session, ok := processTime(b.database.pid); ok {
		u.postgres = familyTime(session.parent)
	}
	u.machine, u.stolen = machineTime()
	u.waitIO = pressure("io")
	return u
}

// since is what was used after an earlier moment.
func (u usage) since(before usage) usage {
	return usage{
		known: u.known && before.known, at: before.at, elapsed: u.at.Sub(before.at).Seconds(), client: u.client - before.client,
		gateway: u.gateway - before.gateway, postgres: u.postgres - before.postgres, machine: u.machine - before.machine,
		stolen: u.stolen - before.stolen, waitIO: u.waitIO - before.waitIO,
	}
}

// cores is how many cores some CPU time kept busy.
func (u usage) cores(seconds float64) float64 {
	if u.elapsed == 0 {
		return 0
	}
	return seconds / u.elapsed
}

// foreign is the share of the machine that went to processes which are not ours, and stolen the share that the host took.
func (u usage) foreign() (others, stolen float64) {
	all := u.elapsed * float64(runtime.NumCPU())
	if all == 0 || !u.known {
		return 0, 0
	}
	return max(0, u.machine-u.client-u.gateway-u.postgres) / all, u.stolen / all
}

// busyShare is how much of the machine others may use before the figures are in doubt.
const busyShare = 0.05

// busy says in words that others used too much of the machine, or nothing.
func (u usage) busy() string {
	others, stolen := u.foreign()
	if others+stolen <= busyShare {
		return ""
	}
	return fmt.Sprintf("other processes used %.0f %% of the machine, the host %.0f %%", 100*others, 100*stolen)
}

// process is what /proc tells about a process, in seconds of CPU time.
type process struct {
	parent int
	own    float64
	reaped float64 // of children that have ended
}

// processTime reads /proc/PID/stat: pid (name) state parent …, with utime, stime, cutime and cstime as fields 14 to 17.
func processTime(pid int) (process, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 15 {
		return process{}, false
	}
	parent, _ := strconv.Atoi(fields[1])
	return process{parent, number(fields[11]) + number(fields[12]), number(fields[13]) + number(fields[14])}, true
}

func number(field string) float64 {
	n, _ := strconv.ParseInt(field, 10, 64)
	return float64(n) / ticks
}

// familyTime is the CPU time of a process and its children.
func familyTime(pid int) (seconds float64) {
	head, ok := processTime(pid)
	if !ok {
		return 0
	}
	seconds = head.own + head.reaped
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		child, _ := strconv.Atoi(filepath.Base(folder))
		if p, ok := processTime(child); ok && p.parent == pid {
			seconds += p.own + p.reaped
		}
	}
	return seconds
}

// machineTime reads the first line of /proc/stat: cpu user nice system idle iowait irq softirq steal …
func machineTime() (busy, stolen float64) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0, 0
	}
	return number(fields[1]) + number(fields[2]) + number(fields[3]), number(fields[8])
}

// pressure is the seconds for which somebody has had to wait for a resource, by /proc/pressure; 0 where the kernel does not count.
func pressure(resource string) float64 {
	text, _ := os.ReadFile("/proc/pressure/" + resource)
	line, _, _ := strings.Cut(string(text), "\n")
	_, micros, _ := strings.Cut(line, "total=")
	n, _ := strconv.ParseInt(micros, 10, 64)
	return float64(n) / 1e6
}

// tmpfs is the file system type of memory that looks like a disk, on Linux.
const tmpfs = 0x01021994

func inMemory(dir string) bool {
	var s syscall.Statfs_t
	return runtime.GOOS == "linux" && syscall.Statfs(dir, &s) == nil && int64(s.Type) == tmpfs //nolint:unconvert // int32 on other machines
}

// machine describes the computer in one line.
func machine() string {
	words := []string{runtime.GOOS + "/" + runtime.GOARCH, fmt.Sprintf("%d cores", runtime.NumCPU())}
	for _, fact := range []struct{ file, name string }{{"/proc/cpuinfo", "model name"}, {"/proc/meminfo", "MemTotal"}} {
		text, _ := os.ReadFile(fact.file)
		lines := strings.Split(string(text), "\n")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, fact.name) })
		if at >= 0 {
			_, value, _ := strings.Cut(lines[at], ":")
			words = append(words, strings.TrimSpace(value))
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		words = append(words, "kernel "+strings.TrimSpace(string(release)))
	}
	return strings.Join(append(words, runtime.Version()), ", ") + writeback()
}

// writeback is how the kernel writes what programs have not asked it to, on Linux: much at once delays the commits beside it.
func writeback() string {
	var text strings.Builder
	for _, name := range []string{"dirty_background_bytes", "dirty_background_ratio", "dirty_expire_centisecs", "dirty_writeback_centisecs"} {
		if value, err := os.ReadFile("/proc/sys/vm/" + name); err == nil {
			fmt.Fprintf(&text, ", vm.%s %s", name, strings.TrimSpace(string(value)))
		}
	}
	return text.String()
}
