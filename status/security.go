package status

import "time"

// Security is what the registry of a secure ring shows of it. It has no secret.
type Security struct {
	Key      string        `json:"key"`         // the pin of the ring's key: 32 hexadecimal digits, which join lines have in base32
	Validity time.Duration `json:"validity_ns"` // of an admission
	Kept     bool          `json:"kept"`        // the key is on disk: see ringdht.WithState
	Time     time.Time     `json:"time"`        // the registry's clock, which never goes back
	// OldKey is the pin of the key before, while it is trusted until OldUntil; empty otherwise.
	OldKey   string     `json:"old_key"`
	OldUntil time.Time  `json:"old_until,omitzero"`
	Tokens   []Token    `json:"tokens"`
	Expelled []Expelled `json:"expelled"` // at most MaxExpelled, the oldest first
	// Strangers are the latest sources of connections and registrations that were refused for
	// their credentials, at most MaxStrangers. Refusals counts all, by cause.
	Strangers []Stranger        `json:"strangers"`
	Refusals  map[Refusal]int64 `json:"refusals"`
}

// The bounds of what a registry lists of a secure ring.
const (
	MaxStrangers = 64
	MaxExpelled  = 1024
	MaxTokens    = 64 // that are valid at a time; it remembers as many that are not any more
)

// Admission is what a registry has given a member of a secure ring: the right to be one for some
// time, which it renews.
type Admission struct {
	Key   string    `json:"key"`   // the first digits of the pin of the member's key
	Token uint32    `json:"token"` // by which it joined
	Since time.Time `json:"since"` // by the registry's clock, as Until
	Until time.Time `json:"until"`
}

// TokenTerms are the terms of a new token. The zero value is a token that joins any number of
// nodes until it is rotated.
type TokenTerms struct {
	Once bool          `json:"once"` // it joins one node
	For  time.Duration `json:"for_ns"`
	ID   *ID           `json:"id"` // nodes that join by it get this ID, nil for any
}

// Token is what nodes join a secure ring by, without its secret. ringdht.Registry.JoinLine makes
// the line with the secret.
type Token struct {
	Number uint32     `json:"number"` // from 1, it only grows
	Once   bool       `json:"once"`   // it joins one node
	ID     *ID        `json:"id"`     // of the node that joins by it, nil for any
	Made   time.Time  `json:"made"`
	Until  time.Time  `json:"until,omitzero"` // zero for no end
	Uses   int64      `json:"uses"`           // nodes that have joined by it
	State  TokenState `json:"state"`
	Ended  time.Time  `json:"ended,omitzero"` // zero while it is valid
}

// Valid reports whether nodes can join by the token.
func (t Token) Valid() bool { return t.State == TokenValid }

// TokenState says whether nodes can join by a token, and if not, why.
type TokenState string

const (
	TokenValid    TokenState = "valid"
	TokenUsed     TokenState = "used"     // once, and a node has joined by it
	TokenExpired  TokenState = "expired"  // its time is over
	TokenRotated  TokenState = "rotated"  // the operator has ended all tokens
	TokenExpelled TokenState = "expelled" // a node that joined by it was expelled
)

// Expelled is a node that was expelled. It is listed until its admissions have expired.
type Expelled struct {
	ID    ID        `json:"id"`
	Key   string    `json:"key"` // the first digits of its key's pin
	When  time.Time `json:"when"`
	Until time.Time `json:"until"` // its admissions have expired then
}

// Stranger is a source of connections or registrations that a secure ring has refused.
type Stranger struct {
	From  string    `json:"from"` // the host that they came from
	Cause Refusal   `json:"cause"`
	Times int64     `json:"times"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Refusal is why the registry of a secure ring has refused a node or another program.
type Refusal string

const (
	RefusedPlain     Refusal = "no TLS"         // it does not speak TLS
	RefusedHandshake Refusal = "handshake"      // its certificate is no node's, or it has hung up during the handshake
	RefusedStolen    Refusal = "stolen"         // it showed an admission and does not have its key, or another node's name
	RefusedForeign   Refusal = "not admitted"   // its admission is not of this ring
	RefusedExpired   Refusal = "admission over" // its admission has expired
	RefusedRevoked   Refusal = "expelled"       // it was expelled
	RefusedNone      Refusal = "no secret"      // it proved no secret, and has no admission
	RefusedSecret    Refusal = "wrong secret"   // it proved a secret that is not the ring's
	RefusedToken     Refusal = "token over"     // it proved the secret of a token that was used, has expired or was ended
	RefusedID        Refusal = "other ID"       // its token or its admission is for another ID than it asked for
	RefusedAddress   Refusal = "other key"      // another key answers at the address that it names
)
