package dial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAddr bounds the address of a node, which all members receive.
const maxAddr = 300

// maxHost is the longest host name in DNS.
const maxHost = 253

// HostPort returns the canonical form of a node's address, "host:port", or an error if it is none.
// Two spellings of one IP address and port have one canonical form, so a process cannot be two
// members by spelling. The canonical form of a canonical form is itself.
//
//   - An IP address is written as package netip writes it, and an IPv4 address mapped into IPv6 as
//     IPv4. A zone is kept as it is spelled where an address is ambiguous without it: in
//     link-local addresses. Elsewhere systems ignore zones, so it is refused.
//   - A name is in lower case, without a dot at its end. It stays a name, "localhost" too: what it
//     resolves to may change, and differs between machines. So two names of one machine, or a
//     name and an address, are different.
//   - A name that ends in a number is refused: some systems take "127.1", "0x7f000001" and
//     "2130706433" for the address 127.0.0.1.
//   - The port is a decimal number from 1 to 65535, without sign or leading zeros.
//   - An address that belongs to no single machine, unspecified or multicast, is refused.
func HostPort(addr string) (string, error) {
	host, port, err := SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, port), nil
}

// SplitHostPort returns the parts of an address's canonical form, see [HostPort].
func SplitHostPort(addr string) (host, port string, err error) {
	if len(addr) > maxAddr { // a host name, a colon and a port are shorter
		return "", "", fmt.Errorf("the address has %d bytes, at most %d are allowed", len(addr), maxAddr)
	}
	if !Printable(addr) {
		return "", "", fmt.Errorf("the address %q has characters that cannot be printed", addr)
	}
	host, port, err = net.SplitHostPort(addr)
	if err != nil || host == "" || port == "" {
		return "", "", fmt.Errorf("the address %q is not host:port with both given", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", "", fmt.Errorf("the address %q: the port must be a number from 1 to 65535, without sign or leading zeros", addr)
	}
	if host, err = canonicalHost(host); err != nil {
		return "", "", fmt.Errorf("the address %q: %w", addr, err)
	}
	if n := len(net.JoinHostPort(host, port)); n > maxAddr { // "::" may make the canonical form longer
		return "", "", fmt.Errorf("the address %q has %d bytes in its canonical form, at most %d are allowed", addr, n, maxAddr)
	}
	return host, port, nil
}

// canonicalHost returns the canonical form of a host.
func canonicalHost(host string) (string, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return canonicalName(host)
	}
	zone := ip.Zone() // Unmap drops it
	ip = ip.Unmap()
	switch {
	case ip.IsUnspecified():
		return "", errors.New("it means all addresses of a machine, and peers cannot dial it: give one of them")
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "", errors.New("it is the address of a group, and not of one machine")
	case zone != "" && !ip.IsLinkLocalUnicast():
		return "", errors.New("only a link-local address (fe80::) has a zone")
	}
	return ip.String(), nil
}

// canonicalName returns the canonical form of a host name. It accepts more than DNS does:
// underscores, which are in use, and letters beyond ASCII, which resolvers may accept. It refuses other
// spellings of ASCII letters and digits.
func canonicalName(name string) (string, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if len(name) > maxHost {
		return "", fmt.Errorf("the host name has %d bytes, at most %d are allowed", len(name), maxHost)
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool {
			isDigit := '0' <= r && r <= '9'
			isWide := 0xff00 <= r && r <= 0xffef || r == 'ſ' // spellings of ASCII, which some resolvers accept
			return r != '-' && r != '_' && !isDigit && (isWide || !unicode.IsLetter(r) && !unicode.IsMark(r))
		}) {
			return "", errors.New("the host is neither an IP address nor a name of letters, digits, hyphens and single dots")
		}
		last = label
	}
	hex, isHex := strings.CutPrefix(last, "0x")
	if strings.Trim(last, "0123456789") == "" || isHex && strings.Trim(hex, "0123456789abcdef") == "" {
		return "", errors.New("a host that ends in a number must be an IP address, four numbers without leading zeros")
	}
	return name, nil
}

// Printable reports whether text can be shown as it is. What a node calls itself is shown by
// others, in logs and on terminals, and an IPv6 zone may hold any bytes and still be dialled.
func Printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// IsLoopback reports whether an address leads each machine to itself. Other machines cannot dial a
// node there.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
