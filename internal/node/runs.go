package node

// Runs is what a node knows of traffic runs.
type Runs struct {
	Latest   uint64 // the number of the latest run that it knows of
	Finished uint64 // the number of the latest run that it has finished, or failed in
	Sending  bool   // it has not finished a run yet
	Leaving  bool   // it takes part in no run any more
}

// Runs is what the present incarnation knows of traffic runs.
func (n *Node) Runs() Runs {
	t := n.inc.Load().traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	return Runs{Latest: t.latestRun, Finished: t.finished.Run, Sending: t.running, Leaving: t.disabled}
}
