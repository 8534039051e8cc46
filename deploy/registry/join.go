package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
)

// join returns the command with which a node joins, for the page of an empty ring. {host} stands for
// the page's server, see [dashboard.WithJoin].
func (c *config) join(node string, at net.Addr) string {
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		host, port = at.String(), ""
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "{host}:" + port
	} else {
		host = net.JoinHostPort(host, port)
	}
	command := node + " -registry " + host
	if c.Ring != "ring" {
		command += " -ring " + quote(c.Ring)
	}
	if name := (*c.codec).Name(); name != "msgpack" {
		command += " -codec " + name
	}
	return command
}

// quote quotes a word for a shell, if it must be.
func quote(word string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/", r))
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// nodeProgram returns how to start the program node beside this one, named self: both have the same
// name but for the last word, such as ringdht-registry and ringdht-node.
func nodeProgram(self string) string {
	if strings.Contains(filepath.ToSlash(self), "/go-build") {
		return "go run ./node"
	}
	dir, name := filepath.Split(self)
	name = strings.Replace(name, "registry", "node", 1)
	if _, err := os.Stat(filepath.Join(dir, name)); dir == "" || err != nil {
		return name // found in PATH, or on another machine
	}
	return dir + name
}
