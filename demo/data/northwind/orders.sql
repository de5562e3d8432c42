-- How orders.csv was taken out of northwind.sqlite (named with its hash in SOURCE.txt): dates and owners of the orders,
-- without the customers' addresses and telephone numbers.
select OrderID          as order_id,
       CustomerID       as customer_id,
       c.CompanyName    as customer,
       EmployeeID       as employee_id,
       OrderDate        as order_date,
       RequiredDate     as required_date,
       ShippedDate      as shipped_date,
       s.CompanyName    as shipper,
       Freight          as freight,
       ShipCountry      as ship_country
  from Orders
  left join Customers c using (CustomerID)
  left join Shippers s on s.ShipperID = ShipVia
 order by OrderID;
