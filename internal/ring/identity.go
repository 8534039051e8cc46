package ring

import (
	"fmt"
	"strings"
)

// Identity names one ring for all its life, as 32 hexadecimal digits. It is empty if there is
// no ring, or if it is not known. Two rings may have one name; they never have one identity.
type Identity string

// NewIdentity makes an identity of 128 random bits.
func NewIdentity(high, low uint64) Identity { return Identity(fmt.Sprintf("%016x%016x", high, low)) }

// Valid says whether it is an identity, or empty. What comes from outside must be checked.
func (id Identity) Valid() bool {
	return id == "" || len(id) == 32 && strings.Trim(string(id), "0123456789abcdef") == ""
}

// Short is what people are shown: the first 8 digits.
func (id Identity) Short() string { return string(id[:min(len(id), 8)]) }
