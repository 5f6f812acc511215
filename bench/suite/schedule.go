package suite

import "github.com/pontoon-kv/pontoon/bench/workload"

// step is one stay on one cluster: some workloads of a group, once.
type step struct {
	group     int
	round     int
	system    int
	workloads []int
	close     bool // the cluster is not needed after it
	profile   bool // the extra pass (I4)
}

// schedule orders everything there is to do. Neither system always goes first.
func schedule(groups []workload.Group, rounds, systems int, profile bool) (steps []step) {
	for g := range groups {
		n := rounds
		if limit := groups[g].Rounds; limit > 0 {
			n = min(n, limit)
		}
		all := make([]int, len(groups[g].Workloads))
		for i := range all {
			all[i] = i
		}
		if groups[g].Keep {
			steps = append(steps, kept(g, n, systems, all)...)
		} else {
			for round := range n {
				for _, s := range order(round, systems) {
					steps = append(steps, step{group: g, round: round, system: s, workloads: all, close: true})
				}
			}
		}
		if profile {
			for s := range systems {
				steps = append(steps, step{group: g, system: s, workloads: all, close: true, profile: true})
			}
		}
	}
	return steps
}

// kept alternates after every workload, and closes at the end.
func kept(group, rounds, systems int, workloads []int) (steps []step) {
	for _, w := range workloads {
		for round := range rounds {
			for _, s := range order(round, systems) {
				steps = append(steps, step{group: group, round: round, system: s, workloads: []int{w}})
			}
		}
	}
	for i := max(0, len(steps)-systems); i < len(steps); i++ {
		steps[i].close = true
	}
	return steps
}

// order of the systems in a round.
func order(round, systems int) []int {
	out := make([]int, systems)
	for i := range out {
		out[i] = i
		if round%2 == 1 {
			out[i] = systems - 1 - i
		}
	}
	return out
}
