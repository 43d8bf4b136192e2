"""The functions that only read, by dialect, in lower case. Pure data.

What is not here is opaque: a server knows more, and its users' own functions may do anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from approvals.sql.lexing import Dialect

_COMMON: Final = """
abs acos asin atan atan2 avg cast ceil ceiling char_length character_length coalesce concat concat_ws convert corr cos
cot count covar_pop covar_samp cume_dist current_date current_time current_timestamp date day degrees dense_rank exp
extract first_value floor greatest hour if iif ifnull instr json_array json_object lag last_value lead least left
length ln localtime localtimestamp log log10 log2 lower lpad ltrim max min minute mod month ntile nth_value nullif
octet_length overlay percent_rank percentile_cont percentile_disc pi position power radians rank replace reverse right
round row_number rpad rtrim second sign sin sqrt stddev stddev_pop stddev_samp string_agg substr substring sum tan
trim unhex upper var_pop var_samp variance year
"""
_POSTGRES: Final = """
age array_agg array_append array_cat array_dims array_length array_lower array_ndims array_position array_positions
array_prepend array_remove array_replace array_to_json array_to_string array_upper ascii bit_and bit_length bit_or
bool_and bool_or btrim cardinality cbrt chr clock_timestamp col_description concat_ws current_database current_schema
current_schemas current_user date_bin date_part date_trunc decode div encode every factorial format format_type gcd
gen_random_uuid generate_series generate_subscripts get_bit get_byte grouping has_column_privilege
has_database_privilege has_schema_privilege has_table_privilege initcap isfinite json_agg json_array_elements
json_array_elements_text json_array_length json_build_array json_build_object json_each json_each_text
json_extract_path json_extract_path_text json_object_agg json_object_keys json_populate_record json_strip_nulls
json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text
jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path
jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query
jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record
jsonb_to_recordset jsonb_typeof justify_days justify_hours justify_interval lcm make_date make_interval make_time
make_timestamp make_timestamptz max_by md5 min_by mode now num_nonnulls num_nulls obj_description
pg_column_size pg_database_size pg_get_constraintdef pg_get_expr pg_get_functiondef pg_get_indexdef
pg_get_userbyid pg_get_viewdef pg_indexes_size pg_relation_size pg_size_pretty pg_table_is_visible pg_table_size
pg_total_relation_size pg_typeof plainto_tsquery phraseto_tsquery quote_ident quote_literal quote_nullable random
range_agg regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope repeat row_to_json
scale session_user sha224 sha256 sha384 sha512 similarity split_part sprintf starts_with statement_timestamp
string_to_array string_to_table strpos timeofday to_ascii to_char to_date to_hex to_json to_jsonb to_number
to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale trunc ts_headline ts_rank
ts_rank_cd unnest version websearch_to_tsquery width_bucket word_similarity xmlagg xpath
"""
_MYSQL: Final = """
adddate addtime any_value ascii bin bit_and bit_count bit_length bit_or bit_xor char charset coercibility
collation compress conv convert_tz crc32 curdate current_user curtime database date_add date_format date_sub datediff
dayname dayofmonth dayofweek dayofyear elt export_set field find_in_set format format_bytes from_base64 from_days
from_unixtime get_format group_concat hex inet6_aton inet6_ntoa inet_aton inet_ntoa interval is_ipv4 is_ipv6 is_uuid
isnull json_arrayagg json_array_append json_contains json_contains_path json_depth json_extract json_insert json_keys
json_length json_merge_patch json_merge_preserve json_objectagg json_overlaps json_pretty json_quote json_remove
json_replace json_schema_valid json_search json_set json_storage_size json_table json_type json_unquote json_valid
json_value last_day lcase locate lower makedate maketime make_set md5 microsecond mid monthname now
oct ord period_add period_diff pow quarter quote rand regexp_instr regexp_like regexp_replace regexp_substr
repeat sec_to_time schema session_user sha sha1 sha2 soundex space std str_to_date strcmp subdate substring_index
subtime sysdate system_user time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64
to_days to_seconds truncate ucase uncompress unix_timestamp user utc_date utc_time utc_timestamp uuid uuid_to_bin
bin_to_uuid values version week weekday weekofyear weight_string yearweek
"""
_SQLITE: Final = """
bm25 changes char date datetime format glob group_concat hex highlight ifnull json json_array_length json_each
json_extract json_group_array json_group_object json_insert json_patch json_pretty json_quote json_remove json_replace
json_set json_tree json_type json_valid julianday last_insert_rowid like likelihood likely lower printf quote random
randomblob snippet soundex sqlite_version strftime string_agg time timediff total total_changes trunc typeof unicode
unixepoch unlikely zeroblob generate_series acosh asinh atanh cosh sinh tanh concat concat_ws
"""
_TSQL: Final = """
app_name approx_count_distinct ascii atn2 binary_checksum char charindex checksum checksum_agg choose col_length
col_name columnproperty count_big current_timezone current_user cursor_status datalength datediff
datediff_big datefromparts datename datepart dateadd datetimefromparts datetime2fromparts date_bucket datetrunc db_id
db_name difference eomonth error_message format formatmessage getdate getutcdate grouping grouping_id has_dbaccess
has_perms_by_name host_name ident_current iif index_col is_member is_rolemember is_srvrolemember isdate isjson isnull
isnumeric json_modify json_query json_value json_path_exists len nchar newid object_definition object_id object_name
object_schema_name openjson original_login parse parsename patindex permissions quotename rand replicate rowcount_big
schema_id schema_name scope_identity serverproperty session_user smalldatetimefromparts soundex space square stdev
stdevp str string_escape string_split stuff suser_name suser_sname switchoffset sysdatetime sysdatetimeoffset
system_user sysutcdatetime timefromparts todatetimeoffset translate try_cast try_convert try_parse type_id type_name
unicode user_id user_name var varp hashbytes generate_series path raw root
"""

_OWN: Final[dict[Dialect, str]] = {"postgres": _POSTGRES, "mysql": _MYSQL, "sqlite": _SQLITE, "tsql": _TSQL}
READ_ONLY: Final[dict[Dialect, frozenset[str]]] = {
    dialect: frozenset((_COMMON + own).split()) for dialect, own in _OWN.items()
}
