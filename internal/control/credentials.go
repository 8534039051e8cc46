package control

// Admission replaces the admission of a member, before it expires.
type Admission struct {
	Admission string `json:"admission"`
	Time      int64  `json:"time_ms"`
}

// Trust is what a member of a secure ring shall believe from now on: all of it, each time. It
// comes behind Registered, and when something changes.
type Trust struct {
	Ring    uint64   `json:"ring"`    // see secure.RingOf
	Keys    []string `json:"keys"`    // the ring's, the latest last: at most secure.MaxKeys
	Revoked []string `json:"revoked"` // keys of expelled nodes: at most secure.MaxRevoked
	Time    int64    `json:"time_ms"` // the registry's
}
