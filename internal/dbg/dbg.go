package dbg

import (
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

var N [16]struct {
	atomic.Int64
	_ [56]byte
}
var Names = []string{"sync.timer", "sync.ahead", "sync.other", "ack.sync", "ack.handled", "link.data", "link.ctl", "writes", "wbytes", "reads", "ticks", "directw", "goruns", "datamsgs", "inline", "workers"}

func Add(i int, n int) { N[i].Add(int64(n)) }

func Env(name string, def time.Duration) time.Duration {
	if v := os.Getenv(name); v != "" {
		n, _ := strconv.Atoi(v)
		return time.Duration(n) * time.Millisecond
	}
	return def
}

var MinRTO = Env("MINRTO", 100*time.Millisecond)

var EmitDirect = os.Getenv("EMITDIRECT") != ""
var TickDirect = os.Getenv("TICKDIRECT") != ""
var Always = os.Getenv("ALWAYS") != ""

var Robin = Env("ROBIN", 0) // ms between looks at each
var Ahead = os.Getenv("AHEAD") != ""
