package control

// Trace asks a node to trace the route to another.
type Trace struct {
	Ask uint64 `json:"ask"`
	To  uint64 `json:"to"`
}

// Hop is one node on a traced route.
type Hop struct {
	ID      uint64 `json:"id"`
	Elapsed int64  `json:"elapsed_ns"`
}

// Traced is the answer to a Trace.
type Traced struct {
	Ask   uint64 `json:"ask"`
	Hops  []Hop  `json:"hops"`
	Error string `json:"error"`
	// NoSuchNode marks the one error that programs act on.
	NoSuchNode bool `json:"no_such_node"`
}
