;; What the wasm backend of TensorFlow.js does slowly, in its own memory: products of matrices, sums in float64, the scattering
;; of a convolution's gradient. `scripts/kernels.mjs` makes math-kernel.ts of this, once for memory of one thread and once for
;; shared memory. Pointers and strides are in bytes. Orders are fixed, so that the same input gives the same bits each time.
(module
  (import "env" "memory" (memory 1))

  ;; ---- c = a · b, or c + a · b; float32 ----
  ;; Blocks of 64 × 256 of a and 256 × 256 of b are copied into panels of 4 rows and 8 columns, so that the innermost loop reads
  ;; both in a row whatever their strides are; a transposed matrix is one with its strides exchanged.

  ;; One panel of four lanes: for each of `depth` four values beside each other; lanes that are not there become 0.
  (func $pack (param $to i32) (param $toStep i32) (param $from i32) (param $lanes i32) (param $depth i32)
      (param $laneStep i32) (param $depthStep i32)
    (if (i32.and (i32.ge_s (local.get $lanes) (i32.const 4)) (i32.eq (local.get $laneStep) (i32.const 4)))
      (then
        (loop $next
          (v128.store (local.get $to) (v128.load (local.get $from)))
          (local.set $to (i32.add (local.get $to) (local.get $toStep)))
          (local.set $from (i32.add (local.get $from) (local.get $depthStep)))
          (br_if $next (local.tee $depth (i32.sub (local.get $depth) (i32.const 1)))))
        (return)))
    (if (i32.ge_s (local.get $lanes) (i32.const 4))
      (then
        (loop $next
          (f32.store (local.get $to) (f32.load (local.get $from)))
          (f32.store offset=4 (local.get $to) (f32.load (i32.add (local.get $from) (local.get $laneStep))))
          (f32.store offset=8 (local.get $to)
            (f32.load (i32.add (local.get $from) (i32.shl (local.get $laneStep) (i32.const 1)))))
          (f32.store offset=12 (local.get $to)
            (f32.load (i32.add (local.get $from) (i32.mul (local.get $laneStep) (i32.const 3)))))
          (local.set $to (i32.add (local.get $to) (local.get $toStep)))
          (local.set $from (i32.add (local.get $from) (local.get $depthStep)))
          (br_if $next (local.tee $depth (i32.sub (local.get $depth) (i32.const 1)))))
        (return)))
    (loop $next
      (v128.store (local.get $to) (v128.const i32x4 0 0 0 0))
      (if (i32.gt_s (local.get $lanes) (i32.const 0))
        (then (f32.store (local.get $to) (f32.load (local.get $from)))))
      (if (i32.gt_s (local.get $lanes) (i32.const 1))
        (then (f32.store offset=4 (local.get $to) (f32.load (i32.add (local.get $from) (local.get $laneStep))))))
      (if (i32.gt_s (local.get $lanes) (i32.const 2))
        (then (f32.store offset=8 (local.get $to)
          (f32.load (i32.add (local.get $from) (i32.shl (local.get $laneStep) (i32.const 1)))))))
      (local.set $to (i32.add (local.get $to) (local.get $toStep)))
      (local.set $from (i32.add (local.get $from) (local.get $depthStep)))
      (br_if $next (local.tee $depth (i32.sub (local.get $depth) (i32.const 1))))))

  ;; Four rows and eight columns of c from one panel of each. At the edges by way of `spare`, 128 bytes.
  (func $tile (param $depth i32) (param $a i32) (param $b i32) (param $c i32) (param $cStep i32)
      (param $rows i32) (param $columns i32) (param $add i32) (param $spare i32)
    (local $x v128) (local $l v128) (local $r v128)
    (local $l0 v128) (local $r0 v128) (local $l1 v128) (local $r1 v128)
    (local $l2 v128) (local $r2 v128) (local $l3 v128) (local $r3 v128)
    (local $row i32) (local $column i32) (local $from i32) (local $to i32)
    (loop $next
      (local.set $l (v128.load (local.get $b)))
      (local.set $r (v128.load offset=16 (local.get $b)))
      (local.set $x (v128.load32_splat (local.get $a)))
      (local.set $l0 (f32x4.add (local.get $l0) (f32x4.mul (local.get $x) (local.get $l))))
      (local.set $r0 (f32x4.add (local.get $r0) (f32x4.mul (local.get $x) (local.get $r))))
      (local.set $x (v128.load32_splat offset=4 (local.get $a)))
      (local.set $l1 (f32x4.add (local.get $l1) (f32x4.mul (local.get $x) (local.get $l))))
      (local.set $r1 (f32x4.add (local.get $r1) (f32x4.mul (local.get $x) (local.get $r))))
      (local.set $x (v128.load32_splat offset=8 (local.get $a)))
      (local.set $l2 (f32x4.add (local.get $l2) (f32x4.mul (local.get $x) (local.get $l))))
      (local.set $r2 (f32x4.add (local.get $r2) (f32x4.mul (local.get $x) (local.get $r))))
      (local.set $x (v128.load32_splat offset=12 (local.get $a)))
      (local.set $l3 (f32x4.add (local.get $l3) (f32x4.mul (local.get $x) (local.get $l))))
      (local.set $r3 (f32x4.add (local.get $r3) (f32x4.mul (local.get $x) (local.get $r))))
      (local.set $a (i32.add (local.get $a) (i32.const 16)))
      (local.set $b (i32.add (local.get $b) (i32.const 32)))
      (br_if $next (local.tee $depth (i32.sub (local.get $depth) (i32.const 1)))))
    (if (i32.and (i32.eq (local.get $rows) (i32.const 4)) (i32.eq (local.get $columns) (i32.const 8)))
      (then
        (call $put (local.get $c) (local.get $l0) (local.get $r0) (local.get $add))
        (local.set $c (i32.add (local.get $c) (local.get $cStep)))
        (call $put (local.get $c) (local.get $l1) (local.get $r1) (local.get $add))
        (local.set $c (i32.add (local.get $c) (local.get $cStep)))
        (call $put (local.get $c) (local.get $l2) (local.get $r2) (local.get $add))
        (local.set $c (i32.add (local.get $c) (local.get $cStep)))
        (call $put (local.get $c) (local.get $l3) (local.get $r3) (local.get $add))
        (return)))
    (call $put (local.get $spare) (local.get $l0) (local.get $r0) (i32.const 0))
    (call $put (i32.add (local.get $spare) (i32.const 32)) (local.get $l1) (local.get $r1) (i32.const 0))
    (call $put (i32.add (local.get $spare) (i32.const 64)) (local.get $l2) (local.get $r2) (i32.const 0))
    (call $put (i32.add (local.get $spare) (i32.const 96)) (local.get $l3) (local.get $r3) (i32.const 0))
    (loop $down
      (local.set $from (local.get $spare))
      (local.set $to (local.get $c))
      (local.set $column (local.get $columns))
      (loop $right
        (f32.store (local.get $to)
          (if (result f32) (local.get $add)
            (then (f32.add (f32.load (local.get $to)) (f32.load (local.get $from))))
            (else (f32.load (local.get $from)))))
        (local.set $from (i32.add (local.get $from) (i32.const 4)))
        (local.set $to (i32.add (local.get $to) (i32.const 4)))
        (br_if $right (local.tee $column (i32.sub (local.get $column) (i32.const 1)))))
      (local.set $spare (i32.add (local.get $spare) (i32.const 32)))
      (local.set $c (i32.add (local.get $c) (local.get $cStep)))
      (br_if $down (i32.lt_s (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $rows)))))

  (func $put (param $to i32) (param $l v128) (param $r v128) (param $add i32)
    (if (local.get $add)
      (then
        (local.set $l (f32x4.add (v128.load (local.get $to)) (local.get $l)))
        (local.set $r (f32x4.add (v128.load offset=16 (local.get $to)) (local.get $r)))))
    (v128.store (local.get $to) (local.get $l))
    (v128.store offset=16 (local.get $to) (local.get $r)))

  (func $min (param $a i32) (param $b i32) (result i32)
    (select (local.get $a) (local.get $b) (i32.lt_s (local.get $a) (local.get $b))))

  ;; m × k by k × n, all at least 1. `work`: 128 + 65,536 + 262,144 bytes for the panels.
  (func (export "product") (param $m i32) (param $n i32) (param $k i32)
      (param $a i32) (param $aRow i32) (param $aColumn i32)
      (param $b i32) (param $bRow i32) (param $bColumn i32)
      (param $c i32) (param $cRow i32) (param $add i32) (param $work i32)
    (local $packedA i32) (local $packedB i32)
    (local $kk i32) (local $depth i32) (local $nn i32) (local $columns i32) (local $mm i32) (local $rows i32)
    (local $i i32) (local $j i32) (local $panel i32)
    (local.set $packedA (i32.add (local.get $work) (i32.const 128)))
    (local.set $packedB (i32.add (local.get $work) (i32.const 65664)))
    (loop $overDepth
      (local.set $depth (call $min (i32.const 256) (i32.sub (local.get $k) (local.get $kk))))
      (local.set $nn (i32.const 0))
      (loop $overColumns
        (local.set $columns (call $min (i32.const 256) (i32.sub (local.get $n) (local.get $nn))))
        (local.set $j (i32.const 0))
        (loop $packB
          (local.set $panel
            (i32.add (local.get $packedB) (i32.mul (local.get $j) (i32.shl (local.get $depth) (i32.const 2)))))
          (call $pack (local.get $panel) (i32.const 32)
            (call $place (local.get $b) (local.get $kk) (local.get $bRow)
              (i32.add (local.get $nn) (local.get $j)) (local.get $bColumn))
            (i32.sub (local.get $columns) (local.get $j)) (local.get $depth)
            (local.get $bColumn) (local.get $bRow))
          (call $pack (i32.add (local.get $panel) (i32.const 16)) (i32.const 32)
            (call $place (local.get $b) (local.get $kk) (local.get $bRow)
              (i32.add (local.get $nn) (i32.add (local.get $j) (i32.const 4))) (local.get $bColumn))
            (i32.sub (local.get $columns) (i32.add (local.get $j) (i32.const 4))) (local.get $depth)
            (local.get $bColumn) (local.get $bRow))
          (br_if $packB
            (i32.lt_s (local.tee $j (i32.add (local.get $j) (i32.const 8))) (local.get $columns))))
        (local.set $mm (i32.const 0))
        (loop $overRows
          (local.set $rows (call $min (i32.const 64) (i32.sub (local.get $m) (local.get $mm))))
          (local.set $i (i32.const 0))
          (loop $packA
            (call $pack
              (i32.add (local.get $packedA) (i32.mul (local.get $i) (i32.shl (local.get $depth) (i32.const 2))))
              (i32.const 16)
              (call $place (local.get $a) (i32.add (local.get $mm) (local.get $i)) (local.get $aRow)
                (local.get $kk) (local.get $aColumn))
              (i32.sub (local.get $rows) (local.get $i)) (local.get $depth)
              (local.get $aRow) (local.get $aColumn))
            (br_if $packA (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $rows))))
          (local.set $j (i32.const 0))
          (loop $right
            (local.set $i (i32.const 0))
            (loop $down
              (call $tile (local.get $depth)
                (i32.add (local.get $packedA) (i32.mul (local.get $i) (i32.shl (local.get $depth) (i32.const 2))))
                (i32.add (local.get $packedB) (i32.mul (local.get $j) (i32.shl (local.get $depth) (i32.const 2))))
                (call $place (local.get $c) (i32.add (local.get $mm) (local.get $i)) (local.get $cRow)
                  (i32.add (local.get $nn) (local.get $j)) (i32.const 4))
                (local.get $cRow)
                (call $min (i32.const 4) (i32.sub (local.get $rows) (local.get $i)))
                (call $min (i32.const 8) (i32.sub (local.get $columns) (local.get $j)))
                (i32.or (local.get $add) (i32.ne (local.get $kk) (i32.const 0)))
                (local.get $work))
              (br_if $down (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $rows))))
            (br_if $right (i32.lt_s (local.tee $j (i32.add (local.get $j) (i32.const 8))) (local.get $columns))))
          (br_if $overRows (i32.lt_s (local.tee $mm (i32.add (local.get $mm) (i32.const 64))) (local.get $m))))
        (br_if $overColumns (i32.lt_s (local.tee $nn (i32.add (local.get $nn) (i32.const 256))) (local.get $n))))
      (br_if $overDepth (i32.lt_s (local.tee $kk (i32.add (local.get $kk) (i32.const 256))) (local.get $k)))))

  (func $place (param $at i32) (param $row i32) (param $rowStep i32) (param $column i32) (param $columnStep i32)
      (result i32)
    (i32.add (local.get $at)
      (i32.add (i32.mul (local.get $row) (local.get $rowStep)) (i32.mul (local.get $column) (local.get $columnStep)))))

  ;; ---- sums in float64 ----

  ;; Adds `rows` rows of `width` float32 onto `width` float64.
  (func (export "sumRows") (param $from i32) (param $rows i32) (param $width i32) (param $to i32)
    (local $at i32) (local $left i32) (local $x v128)
    (loop $down
      (local.set $at (local.get $to))
      (local.set $left (local.get $width))
      (block $narrow
        (loop $right
          (br_if $narrow (i32.lt_s (local.get $left) (i32.const 4)))
          (local.set $x (v128.load (local.get $from)))
          (v128.store (local.get $at)
            (f64x2.add (v128.load (local.get $at)) (f64x2.promote_low_f32x4 (local.get $x))))
          (v128.store offset=16 (local.get $at)
            (f64x2.add (v128.load offset=16 (local.get $at)) (f64x2.promote_low_f32x4 (call $upper (local.get $x)))))
          (local.set $from (i32.add (local.get $from) (i32.const 16)))
          (local.set $at (i32.add (local.get $at) (i32.const 32)))
          (local.set $left (i32.sub (local.get $left) (i32.const 4)))
          (br $right)))
      (block $done
        (loop $right
          (br_if $done (i32.eqz (local.get $left)))
          (f64.store (local.get $at)
            (f64.add (f64.load (local.get $at)) (f64.promote_f32 (f32.load (local.get $from)))))
          (local.set $from (i32.add (local.get $from) (i32.const 4)))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $right)))
      (br_if $down (local.tee $rows (i32.sub (local.get $rows) (i32.const 1))))))

  ;; The sum of `count` float32.
  (func (export "sum") (param $from i32) (param $count i32) (result f64)
    (local $x v128) (local $low v128) (local $high v128) (local $total f64)
    (block $narrow
      (loop $right
        (br_if $narrow (i32.lt_s (local.get $count) (i32.const 4)))
        (local.set $x (v128.load (local.get $from)))
        (local.set $low (f64x2.add (local.get $low) (f64x2.promote_low_f32x4 (local.get $x))))
        (local.set $high (f64x2.add (local.get $high) (f64x2.promote_low_f32x4 (call $upper (local.get $x)))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $count (i32.sub (local.get $count) (i32.const 4)))
        (br $right)))
    (local.set $low (f64x2.add (local.get $low) (local.get $high)))
    (local.set $total (f64.add (f64x2.extract_lane 0 (local.get $low)) (f64x2.extract_lane 1 (local.get $low))))
    (block $done
      (loop $right
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $total (f64.add (local.get $total) (f64.promote_f32 (f32.load (local.get $from)))))
        (local.set $from (i32.add (local.get $from) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $right)))
    (local.get $total))

  (func $upper (param $x v128) (result v128)
    (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $x) (local.get $x)))

  ;; ---- the gradient of a convolution's input ----

  ;; Adds `count` float32 onto as many others.
  (func (export "addTo") (param $from i32) (param $to i32) (param $count i32)
    (block $narrow
      (loop $right
        (br_if $narrow (i32.lt_s (local.get $count) (i32.const 4)))
        (v128.store (local.get $to) (f32x4.add (v128.load (local.get $to)) (v128.load (local.get $from))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (local.set $count (i32.sub (local.get $count) (i32.const 4)))
        (br $right)))
    (block $done
      (loop $right
        (br_if $done (i32.eqz (local.get $count)))
        (f32.store (local.get $to) (f32.add (f32.load (local.get $to)) (f32.load (local.get $from))))
        (local.set $from (i32.add (local.get $from) (i32.const 4)))
        (local.set $to (i32.add (local.get $to) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $right))))
  ;; ---- the gradient of a max pool ----

  ;; One window, all channels: the first largest of its rows × columns gets what dy says. `rowStep` is between rows of x and dx.
  (func (export "poolGradient") (param $x i32) (param $dx i32) (param $dy i32) (param $rows i32) (param $columns i32)
      (param $rowStep i32) (param $channels i32)
    (local $columnStep i32)
    (local.set $columnStep (i32.shl (local.get $channels) (i32.const 2)))
    (block $narrow
      (loop $right
        (br_if $narrow (i32.lt_s (local.get $channels) (i32.const 4)))
        (call $poolFour (local.get $x) (local.get $dx) (v128.load (local.get $dy))
          (local.get $rows) (local.get $columns) (local.get $rowStep) (local.get $columnStep))
        (local.set $x (i32.add (local.get $x) (i32.const 16)))
        (local.set $dx (i32.add (local.get $dx) (i32.const 16)))
        (local.set $dy (i32.add (local.get $dy) (i32.const 16)))
        (local.set $channels (i32.sub (local.get $channels) (i32.const 4)))
        (br $right)))
    (block $done
      (loop $right
        (br_if $done (i32.eqz (local.get $channels)))
        (call $poolOne (local.get $x) (local.get $dx) (f32.load (local.get $dy))
          (local.get $rows) (local.get $columns) (local.get $rowStep) (local.get $columnStep))
        (local.set $x (i32.add (local.get $x) (i32.const 4)))
        (local.set $dx (i32.add (local.get $dx) (i32.const 4)))
        (local.set $dy (i32.add (local.get $dy) (i32.const 4)))
        (local.set $channels (i32.sub (local.get $channels) (i32.const 1)))
        (br $right))))

  (func $poolFour (param $x i32) (param $dx i32) (param $dy v128) (param $rows i32) (param $columns i32)
      (param $rowStep i32) (param $columnStep i32)
    (local $best v128) (local $where v128) (local $value v128) (local $isMore v128)
    (local $tap i32) (local $row i32) (local $column i32) (local $at i32)
    (local.set $best (f32x4.splat (f32.const -inf)))
    (loop $down
      (local.set $at (i32.add (local.get $x) (i32.mul (local.get $row) (local.get $rowStep))))
      (local.set $column (local.get $columns))
      (loop $right
        (local.set $value (v128.load (local.get $at)))
        (local.set $isMore (f32x4.gt (local.get $value) (local.get $best)))
        (local.set $best (v128.bitselect (local.get $value) (local.get $best) (local.get $isMore)))
        (local.set $where (v128.bitselect (i32x4.splat (local.get $tap)) (local.get $where) (local.get $isMore)))
        (local.set $tap (i32.add (local.get $tap) (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (local.get $columnStep)))
        (br_if $right (local.tee $column (i32.sub (local.get $column) (i32.const 1)))))
      (br_if $down (i32.lt_s (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $rows))))
    (local.set $tap (i32.const 0))
    (local.set $row (i32.const 0))
    (loop $down
      (local.set $at (i32.add (local.get $dx) (i32.mul (local.get $row) (local.get $rowStep))))
      (local.set $column (local.get $columns))
      (loop $right
        (v128.store (local.get $at)
          (f32x4.add (v128.load (local.get $at))
            (v128.and (local.get $dy) (i32x4.eq (local.get $where) (i32x4.splat (local.get $tap))))))
        (local.set $tap (i32.add (local.get $tap) (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (local.get $columnStep)))
        (br_if $right (local.tee $column (i32.sub (local.get $column) (i32.const 1)))))
      (br_if $down (i32.lt_s (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $rows)))))

  (func $poolOne (param $x i32) (param $dx i32) (param $dy f32) (param $rows i32) (param $columns i32)
      (param $rowStep i32) (param $columnStep i32)
    (local $best f32) (local $where i32) (local $value f32)
    (local $row i32) (local $column i32) (local $at i32)
    (local.set $best (f32.const -inf))
    (loop $down
      (local.set $column (i32.const 0))
      (loop $right
        (local.set $at
          (i32.add (i32.mul (local.get $row) (local.get $rowStep)) (i32.mul (local.get $column) (local.get $columnStep))))
        (local.set $value (f32.load (i32.add (local.get $x) (local.get $at))))
        (if (f32.gt (local.get $value) (local.get $best))
          (then
            (local.set $best (local.get $value))
            (local.set $where (local.get $at))))
        (br_if $right
          (i32.lt_s (local.tee $column (i32.add (local.get $column) (i32.const 1))) (local.get $columns))))
      (br_if $down (i32.lt_s (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $rows))))
    (local.set $at (i32.add (local.get $dx) (local.get $where)))
    (f32.store (local.get $at) (f32.add (f32.load (local.get $at)) (local.get $dy))))

  ;; ---- one update of Adam ----

  ;; Of `count` float32: each operation rounds as the same operation on tensors does, so that the bits are the same.
  (func (export "adam") (param $count i32) (param $x i32) (param $g i32) (param $m i32) (param $v i32)
      (param $newX i32) (param $newM i32) (param $newV i32)
      (param $beta1 f32) (param $rest1 f32) (param $beta2 f32) (param $rest2 f32)
      (param $rate f32) (param $epsilon f32) (param $shrink f32)
    (local $at i32) (local $gradient v128) (local $first v128) (local $second v128) (local $left i32)
    (local.set $left (local.get $count))
    (block $narrow
      (loop $right
        (br_if $narrow (i32.lt_s (local.get $left) (i32.const 4)))
        (local.set $gradient (v128.load (i32.add (local.get $g) (local.get $at))))
        (local.set $first
          (f32x4.add
            (f32x4.mul (v128.load (i32.add (local.get $m) (local.get $at))) (f32x4.splat (local.get $beta1)))
            (f32x4.mul (local.get $gradient) (f32x4.splat (local.get $rest1)))))
        (local.set $second
          (f32x4.add
            (f32x4.mul (v128.load (i32.add (local.get $v) (local.get $at))) (f32x4.splat (local.get $beta2)))
            (f32x4.mul (f32x4.mul (local.get $gradient) (local.get $gradient)) (f32x4.splat (local.get $rest2)))))
        (v128.store (i32.add (local.get $newM) (local.get $at)) (local.get $first))
        (v128.store (i32.add (local.get $newV) (local.get $at)) (local.get $second))
        (v128.store (i32.add (local.get $newX) (local.get $at))
          (f32x4.sub
            (f32x4.mul (v128.load (i32.add (local.get $x) (local.get $at))) (f32x4.splat (local.get $shrink)))
            (f32x4.div
              (f32x4.mul (local.get $first) (f32x4.splat (local.get $rate)))
              (f32x4.add (f32x4.sqrt (local.get $second)) (f32x4.splat (local.get $epsilon))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (local.set $left (i32.sub (local.get $left) (i32.const 4)))
        (br $right)))
    (block $done
      (loop $right
        (br_if $done (i32.eqz (local.get $left)))
        (call $adamOne (i32.add (local.get $x) (local.get $at)) (f32.load (i32.add (local.get $g) (local.get $at)))
          (i32.add (local.get $m) (local.get $at)) (i32.add (local.get $v) (local.get $at))
          (i32.add (local.get $newX) (local.get $at)) (i32.add (local.get $newM) (local.get $at))
          (i32.add (local.get $newV) (local.get $at))
          (local.get $beta1) (local.get $rest1) (local.get $beta2) (local.get $rest2)
          (local.get $rate) (local.get $epsilon) (local.get $shrink))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $right))))

  (func $adamOne (param $x i32) (param $gradient f32) (param $m i32) (param $v i32)
      (param $newX i32) (param $newM i32) (param $newV i32)
      (param $beta1 f32) (param $rest1 f32) (param $beta2 f32) (param $rest2 f32)
      (param $rate f32) (param $epsilon f32) (param $shrink f32)
    (local $first f32) (local $second f32)
    (local.set $first
      (f32.add (f32.mul (f32.load (local.get $m)) (local.get $beta1)) (f32.mul (local.get $gradient) (local.get $rest1))))
    (local.set $second
      (f32.add (f32.mul (f32.load (local.get $v)) (local.get $beta2))
        (f32.mul (f32.mul (local.get $gradient) (local.get $gradient)) (local.get $rest2))))
    (f32.store (local.get $newM) (local.get $first))
    (f32.store (local.get $newV) (local.get $second))
    (f32.store (local.get $newX)
      (f32.sub (f32.mul (f32.load (local.get $x)) (local.get $shrink))
        (f32.div (f32.mul (local.get $first) (local.get $rate))
          (f32.add (f32.sqrt (local.get $second)) (local.get $epsilon)))))))
