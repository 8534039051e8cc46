module github.com/x/ringdht

go 1.26

require (
	github.com/hashicorp/go-msgpack/v2 v2.1.5
	golang.org/x/sync v0.22.0
)
