package main

import (
	"testing"

	"github.com/paygraph/paygraph/store/storetest"
)

// TestARollingRestartFailsNoRequest stops two nodes one after the other under load, each in peace, and starts the next on its port. A request
// that finds its node closed, or too early, goes to the other one once.
func TestARollingRestartFailsNoRequest(t *testing.T) {
	t.Parallel()
	database := []string{"DATABASE_URL=" + storetest.Empty(t), "PUBLIC_URL=http://127.0.0.1:1"}
	nodes := []*node{newNode(t, database), newNode(t, database)}
	for _, n := range nodes {
		n.ready()
	}
	made := makeMerchant(t, database)
	c := clientOf(t, nodes[0].program, made.ClientID, made.ClientSecret)
	from, to := c.newWallet(t, "1000.00"), c.newWallet(t, "0.01")
	load := startPayers(t, 32, from, to, 2, nodes[0].client(c.token), nodes[1].client(c.token))
	load.await(10)
	for range 2 {
		for _, n := range nodes {
			if n.stop(); n.cmd.ProcessState.ExitCode() != 0 {
				t.Errorf("SIGTERM: exit status %d", n.cmd.ProcessState.ExitCode())
			}
			n.begin(t)
			n.ready()
			load.await(10)
		}
	}
	load.stop()
	t.Logf("%d requests succeeded, %d of them at the second node", len(load.answered()), load.again.Load())
	if load.again.Load() == 0 {
		t.Error("no request met a node that was closed")
	}
	load.judge(c, load.answered())
	output(t, database, "verify")
}
