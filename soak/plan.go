package soak

import (
	"math/rand/v2"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// Every so many kills of a gateway are of both nodes, and so many of PostgreSQL of its first process alone.
const (
	bothEvery  = 4
	aloneEvery = 10
)

// plan is all faults that the options ask for but full disks, in an order that the seed draws, and at last expiry. steps are those of which a batch's way was found to consist.
func (o Options) plan(steps []*step, random *rand.Rand) (all []*fault) {
	for n := range o.GatewayKills {
		if n%bothEvery == bothEvery-1 {
			all = append(all, killNodes(killOfAllNodes, 0, 1))
		} else {
			all = append(all, killNodes(killOfOneNode, n%nodeCount))
		}
	}
	for n := range o.DatabaseKills {
		if n%aloneEvery == aloneEvery-1 {
			all = append(all, killPostmaster())
		} else {
			all = append(all, killDatabase())
		}
	}
	for n := range o.BackendKills {
		if n%2 == 0 {
			all = append(all, terminateBackends())
		} else {
			all = append(all, killBackend())
		}
	}
	for n := range o.Freezes {
		for place, s := range steps {
			all = append(all, freezeAt((n+place)%nodeCount, s, false), freezeAt((n+place)%nodeCount, s, true))
		}
	}
	for n := range o.Cuts {
		all = append(all, cutsOf(n, steps)...)
	}
	for range o.ClockJumps {
		all = append(all, jumpClock())
	}
	random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	if o.Expiries {
		all = append(all, expireAll()) // the clock is not set back after it
	}
	return all
}

// cutsOf cuts each message of a batch's way in each manner, and then those of the second attempt after an outcome that is unknown: the look-up where the
// first has committed, and the rest of the way where it has not.
func cutsOf(n int, steps []*step) (all []*fault) {
	for kind, c := range cuts {
		for place, s := range steps {
			all = append(all, cutAt((n+place+kind)%nodeCount, s, c))
		}
		all = append(all, cutInRecovery((n+kind)%nodeCount, faultproxy.CutAnswer, locking, c),
			cutInRecovery((n+kind)%nodeCount, faultproxy.LoseRequest, writing, c))
	}
	return all
}
