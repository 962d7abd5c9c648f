package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/paygraph/paygraph/store/embedded/child"
)

const (
	bareProgram = product + "/bench/bare"
	bareBytes   = 350 // of a delivery: a WebSocket's frame with an entry of accountActivity
)

// bareWrites is the CPU time in µs that a write to one of n connections takes in a program that does nothing else: the yardstick of deliveries.
// It writes as often as there are payments to the account that all listen to.
func (b *bench) bareWrites(ctx context.Context, n int) (micros float64, err error) {
	program, err := build(ctx, bareProgram, b.dir)
	if err != nil {
		return 0, err
	}
	pause := time.Second / accountRate
	cmd := exec.Command(program, fmt.Sprint("-connections=", n), fmt.Sprint("-bytes=", bareBytes), fmt.Sprint("-pause=", pause))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	child.DieWithParent(cmd.SysProcAttr, syscall.SIGKILL)
	said, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	bare, err := child.Start(cmd)
	if err != nil {
		return 0, err
	}
	r := readers{}
	defer func() { bare.Kill(); r.close() }()
	address, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the program of bare writes ended: %w", err)
	}
	if err := r.open(strings.TrimSpace(address), n); err != nil {
		return 0, err
	}
	sleepUntil(ctx, time.Now().Add(b.lead()))
	before, _ := processTime(bare.Process.Pid)
	bytes := r.bytes.Load()
	sleepUntil(ctx, time.Now().Add(b.length()))
	after, _ := processTime(bare.Process.Pid)
	micros = quotient(1e6*(after.own-before.own), float64(r.bytes.Load()-bytes)/bareBytes)
	b.progress("%s: %.1f µs of CPU for a bare write to a connection", nameAccountOfAll, micros)
	return micros, context.Cause(ctx)
}

// readers read connections as subscribers do, and throw away what comes.
type readers struct {
	conns   []net.Conn
	running sync.WaitGroup
	bytes   atomic.Int64
}

// open makes n connections. They have to be closed, also where there is an error.
func (r *readers) open(address string, n int) error {
	for range n {
		conn, err := net.DialTimeout("tcp", address, answerWithin)
		if err != nil {
			return fmt.Errorf("a connection for bare writes: %w", err)
		}
		r.conns = append(r.conns, conn)
		r.running.Go(func() {
			for buffer := make([]byte, socketBuffer); ; {
				read, err := conn.Read(buffer)
				r.bytes.Add(int64(read))
				if err != nil {
					return
				}
			}
		})
	}
	return nil
}

func (r *readers) close() {
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.running.Wait()
}
