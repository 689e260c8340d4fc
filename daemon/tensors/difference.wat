;; The numbers of how two blocks of float32 differ, four elements at a time. `scripts/kernels.mjs` makes difference-kernel.ts
;; of this. Memory, in bytes: 0 results (see `sums`), 4,096 counts (four tables of 2,048 int32), 65,536 and 131,072 the blocks
;; (at most 16,384 elements each). Everything is computed in float64, where squares of float32 are exact.
(module
  (memory (export "memory") 3)

  ;; Of `bytes` bytes (a multiple of 16) of both blocks: float64 at 0 sum a², 8 sum b², 16 sum ab, 24 sum (b − a)²,
  ;; 32 largest |b − a|; returns how many elements differ in any bit. Adds to the counts.
  (func (export "sums") (param $bytes i32) (result i32)
    (local $at i32)
    (local $x v128) (local $y v128)
    (local $x0 v128) (local $x1 v128) (local $y0 v128) (local $y1 v128)
    (local $aa0 v128) (local $aa1 v128) (local $bb0 v128) (local $bb1 v128)
    (local $ab0 v128) (local $ab1 v128) (local $dd0 v128) (local $dd1 v128)
    (local $large0 v128) (local $large1 v128)
    (local $changed v128)
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $x (v128.load offset=65536 (local.get $at)))
        (local.set $y (v128.load offset=131072 (local.get $at)))
        ;; A comparison gives −1 where it holds.
        (local.set $changed (i32x4.sub (local.get $changed) (i32x4.ne (local.get $x) (local.get $y))))
        (local.set $x0 (f64x2.promote_low_f32x4 (local.get $x)))
        (local.set $y0 (f64x2.promote_low_f32x4 (local.get $y)))
        (local.set $x1 (f64x2.promote_low_f32x4 (call $upper (local.get $x))))
        (local.set $y1 (f64x2.promote_low_f32x4 (call $upper (local.get $y))))
        (local.set $aa0 (f64x2.add (local.get $aa0) (f64x2.mul (local.get $x0) (local.get $x0))))
        (local.set $aa1 (f64x2.add (local.get $aa1) (f64x2.mul (local.get $x1) (local.get $x1))))
        (local.set $bb0 (f64x2.add (local.get $bb0) (f64x2.mul (local.get $y0) (local.get $y0))))
        (local.set $bb1 (f64x2.add (local.get $bb1) (f64x2.mul (local.get $y1) (local.get $y1))))
        (local.set $ab0 (f64x2.add (local.get $ab0) (f64x2.mul (local.get $x0) (local.get $y0))))
        (local.set $ab1 (f64x2.add (local.get $ab1) (f64x2.mul (local.get $x1) (local.get $y1))))
        (local.set $x0 (f64x2.sub (local.get $y0) (local.get $x0)))
        (local.set $x1 (f64x2.sub (local.get $y1) (local.get $x1)))
        (local.set $dd0 (f64x2.add (local.get $dd0) (f64x2.mul (local.get $x0) (local.get $x0))))
        (local.set $dd1 (f64x2.add (local.get $dd1) (f64x2.mul (local.get $x1) (local.get $x1))))
        (local.set $large0 (f64x2.pmax (local.get $large0) (f64x2.abs (local.get $x0))))
        (local.set $large1 (f64x2.pmax (local.get $large1) (f64x2.abs (local.get $x1))))
        (call $count (i32.const 1) (local.get $x0) (local.get $x1))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (f64.store (i32.const 0) (call $both (f64x2.add (local.get $aa0) (local.get $aa1))))
    (f64.store (i32.const 8) (call $both (f64x2.add (local.get $bb0) (local.get $bb1))))
    (f64.store (i32.const 16) (call $both (f64x2.add (local.get $ab0) (local.get $ab1))))
    (f64.store (i32.const 24) (call $both (f64x2.add (local.get $dd0) (local.get $dd1))))
    (local.set $large0 (f64x2.pmax (local.get $large0) (local.get $large1)))
    (f64.store (i32.const 32)
      (f64.max (f64x2.extract_lane 0 (local.get $large0)) (f64x2.extract_lane 1 (local.get $large0))))
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $changed)) (i32x4.extract_lane 1 (local.get $changed)))
      (i32.add (i32x4.extract_lane 2 (local.get $changed)) (i32x4.extract_lane 3 (local.get $changed)))))

  (func $both (param $sums v128) (result f64)
    (f64.add (f64x2.extract_lane 0 (local.get $sums)) (f64x2.extract_lane 1 (local.get $sums))))

  ;; Takes the counts of a block back that `sums` has added.
  (func (export "uncount") (param $bytes i32)
    (local $at i32)
    (local $x v128) (local $y v128)
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $x (v128.load offset=65536 (local.get $at)))
        (local.set $y (v128.load offset=131072 (local.get $at)))
        (call $count (i32.const -1)
          (f64x2.sub (f64x2.promote_low_f32x4 (local.get $y)) (f64x2.promote_low_f32x4 (local.get $x)))
          (f64x2.sub
            (f64x2.promote_low_f32x4 (call $upper (local.get $y)))
            (f64x2.promote_low_f32x4 (call $upper (local.get $x)))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next))))

  (func $upper (param $x v128) (result v128)
    (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $x) (local.get $x)))

  ;; Adds to the counts of four differences' exponents (0 for none). Four tables, since neighbours have the same exponent, and
  ;; a count waits for the one before it.
  (func $count (param $by i32) (param $d0 v128) (param $d1 v128)
    ;; The upper halves of the four: without the sign, their exponents times 4 are places of counts.
    (local.set $d0
      (v128.and
        (i32x4.shr_u
          (i8x16.shuffle 4 5 6 7 12 13 14 15 20 21 22 23 28 29 30 31 (local.get $d0) (local.get $d1))
          (i32.const 18))
        (v128.const i32x4 0x1ffc 0x1ffc 0x1ffc 0x1ffc)))
    (call $add (i32.add (i32.const 4096) (i32x4.extract_lane 0 (local.get $d0))) (local.get $by))
    (call $add (i32.add (i32.const 12288) (i32x4.extract_lane 1 (local.get $d0))) (local.get $by))
    (call $add (i32.add (i32.const 20480) (i32x4.extract_lane 2 (local.get $d0))) (local.get $by))
    (call $add (i32.add (i32.const 28672) (i32x4.extract_lane 3 (local.get $d0))) (local.get $by)))

  (func $add (param $place i32) (param $by i32)
    (i32.store (local.get $place) (i32.add (i32.load (local.get $place)) (local.get $by)))))
