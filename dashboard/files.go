package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"
)

//go:embed page/*.html page/*.css page/*.js page/*.svg
var files embed.FS

// page is the files of the page, by their paths.
var page = load()

// file is one of them. Its tag is of its contents, since embedded files have no time: a
// browser asks again and is told that nothing has changed.
type file struct {
	kind, tag string
	body      []byte
}

func load() map[string]*file {
	all := make(map[string]*file)
	names, _ := fs.Glob(files, "page/*")
	for _, name := range names {
		body, err := files.ReadFile(name)
		if err != nil { // the pattern is right
			panic(err)
		}
		kind := mime.TypeByExtension(path.Ext(name))
		if path.Ext(name) == ".js" { // whatever the system's table says: browsers run no module of another type
			kind = "text/javascript; charset=utf-8"
		}
		f := &file{kind: kind, tag: fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(body))[:16]), body: body}
		all["/"+path.Base(name)] = f
	}
	all["/{$}"] = all["/index.html"]
	delete(all, "/index.html")
	return all
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", f.tag)
	within(w, func() { http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body)) })
}
