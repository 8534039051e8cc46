package console

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/x/ringdht"
)

// Nodes are nodes that can be named. An address may be empty, where it is not known.
type Nodes []ringdht.Peer

// Find returns the ID of the node that text names: by its ID, whether there is such a
// node or not; by the first digits of its ID and a *; or by its address, of which the
// host, the port, or all but the first name of the host may be left out, as long as one
// node only is left.
//
// Digits alone are an ID in full. If the start of one were enough, a message for a node
// that is gone would go to another whose ID happens to begin like it.
func (n Nodes) Find(text string) (ringdht.ID, error) {
	if id, err := strconv.ParseUint(text, 10, 64); err == nil {
		return ringdht.ID(id), nil
	}
	names := n.Names()
	for _, p := range n {
		if text != "" && text == names.Addr(p) { // "a:80", though there is a.b:80 too
			return p.ID, nil
		}
	}
	fits := func(p ringdht.Peer) bool { return at(p.Addr, text) }
	if digits, ok := strings.CutSuffix(text, "*"); ok {
		fits = func(p ringdht.Peer) bool { return strings.HasPrefix(p.ID.String(), digits) }
	}
	var found []string
	var id ringdht.ID
	for _, p := range n {
		if fits(p) {
			found, id = append(found, fmt.Sprintf("%d (%s)", p.ID, p.Addr)), p.ID
		}
	}
	switch len(found) {
	case 0:
		return 0, Usagef("expected the ID of a node, its address, or a part such as 42* or :8080 of which there is one, not %q", text)
	case 1:
		return id, nil
	}
	const few = 3
	if len(found) > few {
		found = append(found[:few], fmt.Sprintf("one of %d more", len(found)-few))
	}
	return 0, Usagef("%q may be %s: type more of it", text, or(found))
}

// at says that an address is what is meant by some of it.
func at(addr, part string) bool {
	if addr == "" {
		return false
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr == part
	}
	wantHost, wantPort, err := net.SplitHostPort(part)
	if err != nil { // no port
		wantHost, wantPort = strings.Trim(part, "[]"), port
		if wantHost == "" {
			return false
		}
	}
	if wantPort != port {
		return false
	}
	ip := net.ParseIP(host)
	return wantHost == "" || wantHost == host ||
		ip == nil && strings.HasPrefix(host, wantHost+".") ||
		ip != nil && ip.IsLoopback() && wantHost == "localhost"
}

// Names are short names of nodes, each of which means one of them only, and is
// understood by [Nodes.Find].
type Names struct {
	ids   map[ringdht.ID]string
	addrs map[string]string // by address: of an ID that was another's before, that one has its own
	host  string            // of all of them, if that is one
}

// longID is how many digits an ID has before it is worth shortening. IDs of the
// usual 16 bits never are.
const longID = 8

// Names gives each node a name.
func (n Nodes) Names() Names {
	names := Names{ids: make(map[ringdht.ID]string, len(n)), addrs: make(map[string]string, len(n))}
	digits := make(map[string]int) // how many IDs begin so
	for _, p := range n {
		id := p.ID.String()
		for end := longID / 2; end < len(id); end++ {
			digits[id[:end]]++
		}
	}
	domain, same := n.domain(), n.host()
	if same {
		names.host, _, _ = net.SplitHostPort(n[0].Addr)
	}
	for _, p := range n {
		id := p.ID.String()
		names.ids[p.ID] = id
		if len(id) >= longID {
			for end := longID / 2; end < len(id)-1; end++ {
				if digits[id[:end]] == 1 {
					names.ids[p.ID] = id[:end] + "*"
					break
				}
			}
		}
		names.addrs[p.Addr] = p.Addr
		if host, port, err := net.SplitHostPort(p.Addr); err != nil {
			continue
		} else if same {
			names.addrs[p.Addr] = ":" + port
		} else if short, ok := strings.CutSuffix(host, domain); ok && net.ParseIP(host) == nil {
			names.addrs[p.Addr] = short + ":" + port
		}
	}
	return names
}

// ID is the short name of a node's ID; of an unknown one all of it.
func (n Names) ID(id ringdht.ID) string {
	if name, ok := n.ids[id]; ok {
		return name
	}
	return id.String()
}

// Addr is the short name of a node's address.
func (n Names) Addr(p ringdht.Peer) string {
	if name, ok := n.addrs[p.Addr]; ok {
		return name
	}
	return p.Addr
}

// Host is where all nodes are, which their names then leave out; empty if they are in
// several places.
func (n Names) Host() string { return n.host }

// host says whether all nodes are on one host.
func (n Nodes) host() bool {
	first := ""
	for i, p := range n {
		host, _, err := net.SplitHostPort(p.Addr)
		if err != nil || i > 0 && host != first {
			return false
		}
		first = host
	}
	return len(n) > 0
}

// domain is what all hosts that have names have at their end, from a dot on. Each
// keeps the first part of its name. Where two hosts would be one without it, it stays.
func (n Nodes) domain() string {
	var common []string // parts, the last first
	first := true
	for _, p := range n {
		host, _, err := net.SplitHostPort(p.Addr)
		if err != nil || net.ParseIP(host) != nil {
			continue
		}
		parts := strings.Split(host, ".")
		var tail []string
		for i := len(parts) - 1; i > 0; i-- {
			tail = append(tail, parts[i])
		}
		if first {
			common, first = tail, false
			continue
		}
		same := 0
		for same < len(common) && same < len(tail) && common[same] == tail[same] {
			same++
		}
		common = common[:same]
	}
	domain := ""
	for _, part := range common {
		domain = "." + part + domain
	}
	return domain
}
