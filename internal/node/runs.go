package node

// Runs is a node's part in traffic runs.
type Runs struct {
	Latest   uint64 // the number of the latest run that it knows of
	Finished uint64 // the number of the latest run that it has finished, or failed in
	Sending  bool   // a run that it has not finished is under way
	Leaving  bool   // it leaves, and takes part in no run any more
}

// Runs is the part that the node has in traffic runs in its present incarnation.
func (n *Node) Runs() Runs {
	t := n.inc.Load().traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	return Runs{Latest: t.latestRun, Finished: t.finished.Run, Sending: t.running, Leaving: t.disabled}
}
