module github.com/x/ringdht/benchmarks

go 1.26

require github.com/x/ringdht v0.0.0

require (
	github.com/hashicorp/go-msgpack/v2 v2.1.5 // indirect
	golang.org/x/sync v0.22.0 // indirect
)

replace github.com/x/ringdht => ../
