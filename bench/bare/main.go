// Command bare does the least that a server of subscribers can do: it writes as many bytes as a delivery has to each of many connections,
// again and again, with no protocol, nothing to look up and one goroutine. The bench takes its CPU time for a write as the yardstick of
// deliveries, as it takes pgbench for payments: what the kernel charges for a write differs from machine to machine, and from hour to hour.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	connections := flag.Int("connections", 5000, "how many are awaited")
	size := flag.Int("bytes", 350, "of a write")
	pause := flag.Duration("pause", 250*time.Millisecond, "from one round of writes to the next")
	flag.Parse()
	fmt.Fprintln(os.Stderr, serve(*connections, make([]byte, *size), *pause))
	os.Exit(1)
}

// serve prints its address, awaits all connections, and writes until one of them has gone: who has started it kills it.
func serve(connections int, message []byte, pause time.Duration) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	all := make([]net.Conn, connections)
	for i := range all {
		if all[i], err = listener.Accept(); err != nil {
			return err
		}
	}
	for round := time.NewTicker(pause); ; <-round.C {
		for _, c := range all {
			if _, err := c.Write(message); err != nil {
				return err
			}
		}
	}
}
